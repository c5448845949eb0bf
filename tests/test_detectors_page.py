"""The table of docs/detectors.md is what the registries hold; where it is not, the error shows the table as it is."""

from pathlib import Path
from typing import Any

from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict

from deploy.graph.decoding import BOX_DECODERS
from deploy.graph.opsets import check_opset
from pipeline.detectors import FAMILIES, DetectorKind
from pipeline.distillers import METHODS
from pipeline.errors import ExportError
from tests.stock_heads import HEADS

PAGE = Path("docs/detectors.md")
SHIPPED = ("ONNX, NMS inside", "fp16, int8", "TensorRT-RTX", "Triton")


def stock_head(kind: str) -> Any:
    register_all_modules(init_default_scope=True)
    config = next(head for head in HEADS.values() if head["type"] == kind)
    return MODELS.build(ConfigDict({**config, "num_classes": 3, "in_channels": 32, "feat_channels": 32}))


def is_deformable(head: Any) -> bool:
    try:
        check_opset(head, 18)
    except ExportError:
        return True
    return False


def row(name: str, kind: DetectorKind, is_adapted: bool, is_exported: bool, is_built: bool) -> str:
    methods = [kind in forms and (is_adapted or method == "PKD") for method, forms in METHODS.items()]
    shipped = [is_exported and (is_built or title != "TensorRT-RTX") for title in SHIPPED]
    cells = [True, *methods, True, *shipped]
    return f"| {name} | {' | '.join('✔' if cell else '–' for cell in cells)} |"


def table() -> list[str]:
    titles = ["", "twin", *METHODS, "evaluate", *SHIPPED]
    families = [(family, stock_head(kind)) for kind, family in sorted(FAMILIES.items(), key=lambda item: item[1].name)]
    return [
        f"| {' | '.join(titles)} |",
        f"|{'---|' * len(titles)}",
        *(
            row(
                f"{family.name} (`{type(head).__name__}`)",
                DetectorKind.SINGLE_STAGE,
                not family().obstacles(head),
                type(head).__name__ in BOX_DECODERS,
                not is_deformable(head),
            )
            for family, head in families
        ),
        row("Faster R-CNN (`StandardRoIHead`)", DetectorKind.TWO_STAGE, True, True, False),
        row("any other detector of mmdet's", DetectorKind.OTHER, False, False, False),
    ]


def test_the_table_is_what_the_registries_hold() -> None:
    found = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert found == table(), "\n".join(table())
