"""The section ``label`` of ``params.yaml``: what gives boxes to pictures without any."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pipeline.recipe_settings import InputSize
from pipeline.setting_types import PositiveInt, Settings, Sha256

PerChannel = tuple[float, float, float]
"""A number for each colour, in the order of the input's."""


class LabellingArtefact(Settings):
    """An ONNX file that this project exported, told from any other by its hash."""

    artefact: Path
    sha256: Sha256


class OtherArtefact(LabellingArtefact):
    """An ONNX file of another project, with its NMS inside, and what it takes and gives.

    It takes float32 ``[N, 3, height, width]`` of ``input_size``, pixels in ``color_order``, less ``mean`` and divided
    by ``std``; the image is at the top left and the rest is ``pad_value``. ``classes`` are all of its own in its order,
    those of the data set called as there. ``rows`` is the form of its outputs, boxes in pixels of the input.
    """

    classes: Annotated[list[str], Field(min_length=1)]
    input_size: InputSize
    color_order: Literal["rgb", "bgr"] = "rgb"
    mean: PerChannel = (0.0, 0.0, 0.0)
    std: PerChannel = (255.0, 255.0, 255.0)
    pad_value: Annotated[int, Field(ge=0, le=255)] = 114
    rows: Literal["x1y1x2y2_score_class", "dets_labels"] = "x1y1x2y2_score_class"

    @field_validator("std")
    @classmethod
    def _divides(cls, std: PerChannel) -> PerChannel:
        if min(std) <= 0:
            raise ValueError(f"is {list(std)}; pixels are divided by it, so it must be above 0")
        return std


class LabelSettings(Settings):
    """How pictures without boxes get some.

    ``by`` is the teacher, an artefact whose classes are those of the data set, or another project's ONNX file.
    ``flip``: it sees each picture mirrored too. ``labelled``: the pictures of train count as such without boxes too,
    beside what people drew on them. What scores less than ``least_score`` is background. ``nms_iou_threshold``: of two
    boxes of a class that overlap by more, the one with the higher score is kept; it joins what is found in a picture
    and in its mirror image too.
    """

    by: Literal["teacher"] | LabellingArtefact | OtherArtefact = "teacher"
    flip: bool = False
    labelled: bool = False
    least_score: Annotated[float, Field(ge=0, lt=1)] = 0.1
    nms_iou_threshold: Annotated[float, Field(gt=0, le=1)] = 0.6
    batch_size: PositiveInt = 8
