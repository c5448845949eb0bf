"""What an artefact says about itself: the specification carried in the ONNX metadata."""

import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.errors import ArtefactError, shown
from deploy.runtime.oldest_versions import OLDEST
from deploy.runtime.onnx_file import check_content, check_tensors, read_metadata

FORMAT_VERSION = "1"
LETTERBOX, KEEP_RATIO = "letterbox", "keep_ratio"
INPUT_NAME, SIZES_NAME = "images", "sizes"
OUTPUT_NAMES = ("boxes", "scores", "labels", "num_dets")
PRECISIONS = ("fp32", "fp16", "int8", "int8_symmetric")


_LARGEST_SIDE = 1 << 16
_MOST = 1 << 20


class Rule(NamedTuple):
    """What a value of the specification may be."""

    text: str
    holds: Callable[[Any], bool]


def _whole(least: int, most: int) -> Rule:
    return Rule(f"a whole number from {least} to {most}", lambda value: _is_whole(value, least, most))


def _wholes(count: int, least: int, most: int) -> Rule:
    return Rule(
        f"{count} whole numbers from {least} to {most}",
        lambda value: (
            isinstance(value, tuple) and len(value) == count and all(_is_whole(item, least, most) for item in value)
        ),
    )


def _is_whole(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is_name(value: Any) -> bool:
    """Text of one line: a control character would reach terminals and the files of other programs."""
    return isinstance(value, str) and bool(value) and not any(unicodedata.category(c) in ("Cc", "Cs") for c in value)


_NAME = Rule("a line of text", _is_name)
_FRACTION = Rule(
    "a number from 0 to 1",
    lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1,
)
_HASH = Rule("a SHA-256", lambda value: isinstance(value, str) and bool(re.fullmatch(r"[0-9a-f]{64}", value)))


def _one_of(*names: str) -> Rule:
    *rest, last = names
    return Rule(f"{', '.join(rest)} or {last}", lambda value: value in names)


RULES = {
    "model": _NAME,
    "classes": Rule(
        "a list of names",
        lambda value: isinstance(value, tuple) and 0 < len(value) <= _MOST and all(map(_is_name, value)),
    ),
    "input_height": _whole(1, _LARGEST_SIDE),
    "input_width": _whole(1, _LARGEST_SIDE),
    "color_order": _one_of("bgr", "rgb"),
    "resize_rule": _one_of(LETTERBOX, KEEP_RATIO),
    "pad_value": _wholes(3, 0, 255),
    "score_threshold": _FRACTION,
    "nms_iou_threshold": _FRACTION,
    "nms_passes": _whole(0, _MOST),
    "max_candidates": _whole(1, _MOST),
    "max_detections": _whole(1, _MOST),
    "precision": _one_of(*PRECISIONS),
    "recipe": _NAME,
    "recipe_sha256": _HASH,
    "weights_sha256": _HASH,
    "dataset": _NAME,
    "scale": _wholes(2, 1, _LARGEST_SIDE),
    "size_divisor": _whole(1, _LARGEST_SIDE),
    "recommended_score": _FRACTION,
}
"""What each field of :class:`ArtefactSpec` may be; a file is data, whoever wrote it."""


@dataclass(frozen=True)
class ArtefactSpec:
    """How to feed an artefact and how to read it.

    The graph takes ``images``: uint8 ``[N, input_height, input_width, 3]`` in ``color_order`` and returns
    ``boxes`` float32 ``[N, K, 4]`` (x1, y1, x2, y2 in pixels of the input canvas), ``scores`` float32 ``[N, K]``
    sorted downwards, ``labels`` int64 ``[N, K]`` (index into ``classes``) and ``num_dets`` int64 ``[N]``;
    rows from ``num_dets`` on are zero. Normalisation, decoding and NMS are inside the graph.

    Images keep their aspect ratio, are placed at the top left of the canvas and the rest of it is filled with
    ``pad_value``, one value per channel in ``color_order``. How large they and the canvas are says ``resize_rule``:

    - ``letterbox``: the canvas is ``input_height`` x ``input_width``, and an image is made as large as fits in.
    - ``keep_ratio``: the size is dynamic. An image is made as large as its longer side fits in ``scale[0]`` and its
      shorter one in ``scale[1]``, and the canvas is the smallest of multiples of ``size_divisor`` that holds all images
      of the batch (mmdet's ``Resize`` with ``keep_ratio`` and ``DetDataPreprocessor`` with ``pad_size_divisor``). The
      graph takes any such height and width (``input_height`` x ``input_width`` is the recipe's own canvas), and a
      second input ``sizes``: int64 ``[N, 2]``, height and width of each image on its canvas. Padding is then zero after
      normalisation and boxes are clipped to their image before NMS, as mmdet has it, whatever else is in the batch.

    ``score_threshold`` is where the graph cuts; from ``recommended_score`` on boxes are worth showing: it has the best
    F1 on the val split (``pipeline/evaluation/operating_point.py``). Older artefacts have none.

    ``nms_passes`` 0 is NMS by the ONNX operator NonMaxSuppression, which is exact; above 0 it is the portable form with
    that many passes (``deploy/engines/portable.py``), exact for chains of overlapping boxes up to that length.
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
    scale: tuple[int, int] | None = None
    size_divisor: int | None = None
    recommended_score: float | None = None

    @property
    def dynamic_size(self) -> bool:
        """Whether height and width of the input are open."""
        return self.resize_rule == KEEP_RATIO

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the graph's inputs, in their order."""
        return (INPUT_NAME, SIZES_NAME) if self.dynamic_size else (INPUT_NAME,)

    def to_metadata(self) -> dict[str, str]:
        """Return the specification as ONNX metadata: one JSON value per key that has one.

        Beside it stand the format's version and the oldest versions of run times.
        """
        metadata = {key: json.dumps(value) for key, value in asdict(self).items() if value is not None}
        return {"format_version": FORMAT_VERSION, **metadata, "oldest_runtimes": json.dumps(OLDEST)}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str], source: str) -> Self:
        """Read the specification back.

        Raises:
            ArtefactError: keys are missing (a foreign ONNX file), the format's version is unknown, or a value
                is none that this version knows.
        """
        missing = [field.name for field in fields(cls) if field.default is MISSING and field.name not in metadata]
        if missing or metadata.get("format_version") != FORMAT_VERSION:
            version = shown(metadata.get("format_version"))
            raise ArtefactError(
                f"{source}: not an artefact of this pipeline (format_version {version}, missing metadata {missing}); "
                "export it with `python -m stages.export`"
            )
        try:
            values = {field.name: json.loads(metadata[field.name]) for field in fields(cls) if field.name in metadata}
            values |= {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
            spec = cls(**values)
            problems = spec._problems()
        except (ValueError, RecursionError) as error:
            problems = [str(error)]
        if problems:
            raise ArtefactError(f"{source}: damaged metadata: {'; '.join(problems)}; export it again")
        return spec

    def _problems(self) -> list[str]:
        problems = [
            f"{item.name} must be {RULES[item.name].text}, got {shown(value)}"
            for item in fields(self)
            if (value := getattr(self, item.name)) is not item.default and not RULES[item.name].holds(value)
        ]
        if not problems and not self._has_resize_rule():
            problems.append(
                f"{KEEP_RATIO} needs a scale (longer, shorter side) and a size_divisor, {LETTERBOX} has neither, got "
                f"scale {self.scale} and size_divisor {self.size_divisor}"
            )
        return problems

    def _has_resize_rule(self) -> bool:
        if not self.dynamic_size:
            return self.scale is None and self.size_divisor is None
        if self.scale is None or self.size_divisor is None:
            return False
        longer, shorter = self.scale
        return longer >= shorter > 0 and self.size_divisor > 0


def named_inputs(images: NDArray[np.uint8], sizes: NDArray[np.int64] | None) -> dict[str, NDArray[Any]]:
    """The inputs of a graph by name: see :class:`ArtefactSpec`."""
    return {INPUT_NAME: images} if sizes is None else {INPUT_NAME: images, SIZES_NAME: sizes}


def read_spec(artefact: Path, verify: bool = True) -> ArtefactSpec:
    """Read the specification of an ONNX file; needs neither the onnx package nor a backend.

    Args:
        artefact: the file.
        verify: hold its whole content against the hash in its metadata.

    Raises:
        ArtefactError: the file is missing, cut off, damaged, no ONNX file, or not exported by this pipeline.
    """
    spec = ArtefactSpec.from_metadata(read_metadata(artefact), source=str(artefact))
    if verify:
        check_content(artefact)
    check_tensors(artefact)
    return spec
