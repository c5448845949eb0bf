"""What an artefact says about itself: the specification carried in the ONNX metadata."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from deploy.errors import ArtefactError
from deploy.onnx_file import read_metadata

FORMAT_VERSION = "1"
INPUT_NAME = "images"
OUTPUT_NAMES = ("boxes", "scores", "labels", "num_dets")


@dataclass(frozen=True)
class ArtefactSpec:
    """How to feed an artefact and how to read it.

    The graph takes ``images``: uint8 ``[N, input_height, input_width, 3]`` in ``color_order`` and returns
    ``boxes`` float32 ``[N, K, 4]`` (x1, y1, x2, y2 in pixels of the input canvas), ``scores`` float32 ``[N, K]``
    sorted downwards, ``labels`` int64 ``[N, K]`` (index into ``classes``) and ``num_dets`` int64 ``[N]``;
    rows from ``num_dets`` on are zero. Normalisation, decoding and NMS are inside the graph.

    Images are resized by ``resize_rule`` (``letterbox``: keep the aspect ratio, place at the top left, fill the
    rest with ``pad_value``, one value per channel in ``color_order``).

    ``nms_passes`` 0 is NMS by the ONNX operator NonMaxSuppression, which is exact; above 0 it is the portable form with
    that many passes (``deploy/portable.py``), exact for chains of overlapping boxes up to that length.
    """

    model: str
    classes: tuple[str, ...]
    input_height: int
    input_width: int
    color_order: str
    resize_rule: str
    pad_value: tuple[int, int, int]
    score_threshold: float
    nms_iou_threshold: float
    nms_passes: int
    max_candidates: int
    max_detections: int
    precision: str
    recipe: str
    recipe_sha256: str
    weights_sha256: str
    dataset: str

    def to_metadata(self) -> dict[str, str]:
        """Return the specification as ONNX metadata: one JSON value per key, and the format's version."""
        metadata = {key: json.dumps(value) for key, value in asdict(self).items()}
        return {"format_version": FORMAT_VERSION, **metadata}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], source: str) -> Self:
        """Read the specification back.

        Raises:
            ArtefactError: keys are missing (a foreign ONNX file), the format's version is unknown, or a value
                is none that this version knows.
        """
        missing = [field.name for field in fields(cls) if field.name not in metadata]
        if missing or metadata.get("format_version") != FORMAT_VERSION:
            version = metadata.get("format_version")
            raise ArtefactError(
                f"{source}: not an artefact of this pipeline (format_version {version!r}, missing metadata {missing}); "
                "export it with `python -m stages.export`"
            )
        try:
            values = {field.name: json.loads(metadata[field.name]) for field in fields(cls)}
            values["classes"] = tuple(values["classes"])
            values["pad_value"] = tuple(values["pad_value"])
            spec = cls(**values)
            problems = spec._problems()
        except (ValueError, TypeError) as error:
            problems = [str(error)]
        if problems:
            raise ArtefactError(f"{source}: damaged metadata: {'; '.join(problems)}; export it again")
        return spec

    def _problems(self) -> list[str]:
        checks = {
            f"classes must be names, got {self.classes}": self.classes
            and all(isinstance(c, str) for c in self.classes),
            f"input size must be positive, got {self.input_height} x {self.input_width}": min(
                self.input_height, self.input_width
            )
            > 0,
            f"color_order must be bgr or rgb, got {self.color_order!r}": self.color_order in ("bgr", "rgb"),
            f"resize_rule must be letterbox, got {self.resize_rule!r}": self.resize_rule == "letterbox",
            f"pad_value must be three numbers from 0 to 255, got {self.pad_value}": len(self.pad_value) == 3
            and all(0 <= value <= 255 for value in self.pad_value),
        }
        return [problem for problem, holds in checks.items() if not holds]


def read_spec(artefact: Path) -> ArtefactSpec:
    """Read the specification of an ONNX file; needs neither the onnx package nor a backend.

    Raises:
        ArtefactError: the file is missing, cut off, no ONNX file, or not exported by this pipeline.
    """
    return ArtefactSpec.from_metadata(read_metadata(artefact), source=str(artefact))
