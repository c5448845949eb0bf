"""The section ``label`` of ``params.yaml``: what gives boxes to pictures without any."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.setting_types import PositiveInt, Settings, Sha256


class LabellingArtefact(Settings):
    """An ONNX file that this project exported, told from any other by its hash."""

    artefact: Path
    sha256: Sha256


class LabelSettings(Settings):
    """How pictures without boxes get some.

    ``by`` is the teacher, or an artefact whose classes are those of the data set. ``flip``: it sees each picture
    mirrored too. ``labelled``: the pictures of train count as such without boxes too, beside what people drew on them.
    What scores less than ``least_score`` is background. ``nms_iou_threshold``: of two boxes of a class that overlap by
    more, the one with the higher score is kept; it joins what is found in a picture and in its mirror image too.
    """

    by: Literal["teacher"] | LabellingArtefact = "teacher"
    flip: bool = False
    labelled: bool = False
    least_score: Annotated[float, Field(ge=0, lt=1)] = 0.1
    nms_iou_threshold: Annotated[float, Field(gt=0, le=1)] = 0.6
    batch_size: PositiveInt = 8
