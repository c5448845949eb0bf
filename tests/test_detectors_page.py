"""The table of docs/detectors.md is what the registries hold; where it is not, the error shows the table as it is."""

from pathlib import Path

from deploy.graph.decoding import BOX_DECODERS
from pipeline.detectors import FAMILIES, DetectorKind
from pipeline.distillers import METHODS

PAGE = Path("docs/detectors.md")
SHIPPED = ("ONNX, NMS inside", "fp16, int8", "TensorRT-RTX", "Triton")
NO_PORTABLE_FORM = {DetectorKind.TWO_STAGE}  # deploy.engines.portable: RoiAlign and NonZero do not build


def row(name: str, kind: DetectorKind, is_adapted: bool, is_exported: bool) -> str:
    methods = [kind in forms and (is_adapted or method == "PKD") for method, forms in METHODS.items()]
    shipped = [is_exported and not (title == "TensorRT-RTX" and kind in NO_PORTABLE_FORM) for title in SHIPPED]
    cells = [True, *methods, True, *shipped]
    return f"| {name} | {' | '.join('✔' if cell else '–' for cell in cells)} |"


def table() -> list[str]:
    titles = ["", "twin", *METHODS, "evaluate", *SHIPPED]
    families = sorted(FAMILIES.items(), key=lambda item: item[1].name)
    return [
        f"| {' | '.join(titles)} |",
        f"|{'---|' * len(titles)}",
        *(
            row(f"{family.name} (`{head}`)", DetectorKind.SINGLE_STAGE, True, head in BOX_DECODERS)
            for head, family in families
        ),
        row("Faster R-CNN (`StandardRoIHead`)", DetectorKind.TWO_STAGE, True, True),
        row("any other detector of mmdet's", DetectorKind.OTHER, False, False),
    ]


def test_the_table_is_what_the_registries_hold() -> None:
    found = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert found == table(), "\n".join(table())
