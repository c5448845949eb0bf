"""The section ``data`` of ``params.yaml``: which data set, and how the embedded ones are made."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipeline.setting_types import BoxOrientation, PositiveInt, Seed, Settings


class DigitsSettings(Settings):
    """The composed data set: handwritten digits on aerial photos. Counts are images per split."""

    image_size: Annotated[int, Field(ge=64, multiple_of=32)] = 256
    train: PositiveInt = 1200
    val: PositiveInt = 300
    test: PositiveInt = 400
    seed: Seed = 0


class TreesSettings(Settings):
    """The real data set of tree crowns. Lengths are pixels of the original photos."""

    tile_size: Annotated[int, Field(ge=64, multiple_of=32)] = 256
    overlap: Annotated[int, Field(ge=0)] = 64
    guard: Annotated[int, Field(ge=0)] = 40


class CocoSplitSettings(Settings):
    """One split of a folder with COCO-style annotations; paths are relative to ``coco_dir.root``."""

    annotations: str
    images: str


class CocoDirSettings(Settings):
    """Any data set with COCO-style json.

    Without ``test``, or with a ``test`` that is ``val``, val serves as test. ``boxes_without_area``: boxes of no width
    or height are errors, or are dropped, each one with a finding (COCO's own train2017 has some). ``orientation``:
    boxes of images that EXIF turns are those of the turned image (``apply``), or of the pixels as they are stored
    (``ignore``). Where it is not given, an image's size in the json tells, or the run stops.
    """

    root: Path = Path("datasets/custom")
    train: CocoSplitSettings = CocoSplitSettings(annotations="annotations/train.json", images="train")
    val: CocoSplitSettings = CocoSplitSettings(annotations="annotations/val.json", images="val")
    test: CocoSplitSettings | None = None
    boxes_without_area: Literal["error", "drop"] = "error"
    orientation: BoxOrientation | None = None


class DataSettings(Settings):
    """Which data set the chain runs on, and how the embedded ones are made."""

    name: Literal["digits", "trees", "coco_dir"] = "digits"
    digits: DigitsSettings = DigitsSettings()
    trees: TreesSettings = TreesSettings()
    coco_dir: CocoDirSettings = CocoDirSettings()
