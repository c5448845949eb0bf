"""The section ``data`` of ``params.yaml``: which data set, and how the embedded ones are made."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.setting_types import BoxesOutside, BoxOrientation, PositiveInt, Seed, Settings

ChoosingSplit = Literal["val", "train"]
EMBEDDED = ("digits", "trees")
"""Data sets that are made here; the others are folders of the user's."""
_NO_JSON = "splits.group_by.key is a key of a json's images, and there is no json; use name"


class DigitsSettings(Settings):
    """The composed data set: handwritten digits on aerial photos. Counts are images per split."""

    image_size: Annotated[int, Field(ge=64, multiple_of=32)] = 256
    train: PositiveInt = 1200
    val: PositiveInt = 300
    test: PositiveInt = 400
    seed: Seed = 0


class TreesSettings(Settings):
    """The real data set of tree crowns. Lengths are pixels of the original photos.

    ``unlabelled``: tiles of the package's photos whose crowns are not drawn join the pictures without boxes.
    """

    tile_size: Annotated[int, Field(ge=64, multiple_of=32)] = 256
    overlap: Annotated[int, Field(ge=0)] = 64
    guard: Annotated[int, Field(ge=0)] = 40
    unlabelled: bool = False


class GroupSettings(Settings):
    """What images have in common that must stay in one split: a part of their file names, or a key of the json's.

    ``name`` is a regular expression for the beginning of the file name as the data set lists it; its first group, or
    without one all that it matches, tells the groups. ``key`` is a key of the entries of ``images`` (``coco_dir``).
    """

    name: str | None = None
    key: str | None = None

    @field_validator("name")
    @classmethod
    def _is_a_pattern(cls, name: str | None) -> str | None:
        try:
            re.compile(name or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from error
        return name

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.name is None) == (self.key is None):
            raise ValueError("give exactly one of name (a regular expression) and key (of the json's images)")
        return self


class MadeSplitSettings(Settings):
    """How val, and test where there is none either, are taken from train in a data set without val.

    Val alone is taken so where ``data.choose_on`` is ``train``.
    ``val`` and ``test`` are shares of the images. ``near_duplicates``: images that look alike stay in one split.
    """

    val: Annotated[float, Field(gt=0, lt=1)] = 0.15
    test: Annotated[float, Field(ge=0, lt=1)] = 0.15
    seed: Seed = 0
    group_by: GroupSettings | None = None
    near_duplicates: Literal["together", "apart"] = "together"

    @model_validator(mode="after")
    def _train_keeps_some(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError(f"val {self.val} and test {self.test} leave nothing for train; keep their sum under 1")
        return self


class FolderSettings(Settings):
    """What all folders of the user's have in common.

    ``boxes_without_area``: boxes of no width or height are errors, or are dropped, each one with a finding (COCO's own
    train2017 has some). ``boxes_outside``: boxes that reach more than 1 px over their image are errors, or are clipped
    to it, each one with a finding. ``orientation``: boxes of images that EXIF turns are those of the turned image
    (``apply``), or of the pixels as they are stored (``ignore``). Where it is not given, an image's size in the
    annotations tells, or the run stops.
    """

    root: Path = Path("datasets/custom")
    boxes_without_area: Literal["error", "drop"] = "error"
    boxes_outside: BoxesOutside = "error"
    orientation: BoxOrientation | None = None
    splits: MadeSplitSettings = MadeSplitSettings()


class CocoSplitSettings(Settings):
    """One split of a folder with COCO-style annotations; paths are relative to ``coco_dir.root``."""

    annotations: str
    images: str


class CocoDirSettings(FolderSettings):
    """Any data set with COCO-style json.

    Without ``val``, ``splits`` says how it is taken from train. A ``test`` that is ``val`` is none.
    ``unused_categories``: categories that no split has a box of are kept or dropped; the run stops for an answer only
    where one looks like an export's name for all the others.
    """

    train: CocoSplitSettings = CocoSplitSettings(annotations="annotations/train.json", images="train")
    val: CocoSplitSettings | None = CocoSplitSettings(annotations="annotations/val.json", images="val")
    test: CocoSplitSettings | None = None
    unused_categories: Literal["keep", "drop"] | None = None

    def named_splits(self) -> dict[str, CocoSplitSettings]:
        """The splits that are given; a test that is val counts as none."""
        test = None if self.test == self.val else self.test
        splits = {"train": self.train, "val": self.val, "test": test}
        return {name: split for name, split in splits.items() if split is not None}


class YoloDirSettings(FolderSettings):
    """Any data set with YOLO's labels, a text file an image with ``class cx cy w h`` a line, in shares of the image.

    ``config`` names the classes: a ``data.yaml``, or a text file with a name a line; relative to ``root``. ``train``,
    ``val`` and ``test`` are folders of images or lists of them (.txt), relative to ``root`` or absolute; where
    ``train`` is given, what ``config`` says of splits does not count.
    """

    config: str = "data.yaml"
    train: str | list[str] | None = None
    val: str | list[str] | None = None
    test: str | list[str] | None = None

    @model_validator(mode="after")
    def _train_comes_first(self) -> Self:
        if self.train is None and (self.val is not None or self.test is not None):
            raise ValueError("val and test are given without train; give train too, or none of them")
        return self

    @model_validator(mode="after")
    def _groups_by_name(self) -> Self:
        if self.splits.group_by is not None and self.splits.group_by.key is not None:
            raise ValueError(_NO_JSON)
        return self


class VocSplitSettings(Settings):
    """One split of a folder with Pascal-VOC annotations; paths are relative to ``voc_dir.root``.

    ``annotations`` and ``images`` are folders, which may be one; ``image_set`` is a list of the split's images, a name
    without suffix a line. Without it all images of the folder are the split's.
    """

    annotations: str = "Annotations"
    images: str = "JPEGImages"
    image_set: str | None = None


class VocDirSettings(FolderSettings):
    """Any data set with an XML file an image, as Pascal VOC has them.

    ``corners``: VOC counts pixels from 1 and a box's last pixel belongs to it (``one_based``); other tools write
    corners as they are drawn, from 0 and the right and lower edges exclusive (``zero_based``). ``difficult``: objects
    that are marked so count neither in training nor in evaluation, as in VOC's own, or as any other. ``classes`` are
    the classes in their order; without it, all names in the order of the alphabet.
    """

    train: VocSplitSettings = VocSplitSettings(image_set="ImageSets/Main/train.txt")
    val: VocSplitSettings | None = VocSplitSettings(image_set="ImageSets/Main/val.txt")
    test: VocSplitSettings | None = None
    corners: Literal["one_based", "zero_based"] = "one_based"
    difficult: Literal["ignore", "keep"] = "ignore"
    classes: Annotated[list[str], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _groups_by_name(self) -> Self:
        if self.splits.group_by is not None and self.splits.group_by.key is not None:
            raise ValueError(_NO_JSON)
        return self

    @field_validator("classes")
    @classmethod
    def _classes_differ(cls, classes: list[str] | None) -> list[str] | None:
        if classes and (twice := sorted({name for name in classes if classes.count(name) > 1})):
            raise ValueError(f"{', '.join(twice)}: given twice")
        return classes

    def named_splits(self) -> dict[str, VocSplitSettings]:
        """The splits that are given; a test that is val counts as none."""
        test = None if self.test == self.val else self.test
        splits = {"train": self.train, "val": self.val, "test": test}
        return {name: split for name, split in splits.items() if split is not None}


class DataSettings(Settings):
    """Which data set the chain runs on, and how the embedded ones are made.

    ``choose_on``: what chooses weights, scores and layers where a folder of the user's has train and val only: ``val``,
    which is then measured too, or a part of ``train`` (by the folder's ``splits``), and val becomes the test split.
    ``unlabelled``: a folder of pictures without boxes. ``labelled_share``: the share of train's images whose boxes are
    used; the others, by ``labelled_seed``, join the pictures without boxes.
    """

    name: Literal["digits", "trees", "coco_dir", "yolo_dir", "voc_dir"] = "digits"
    choose_on: ChoosingSplit = "val"
    unlabelled: Path | None = None
    labelled_share: Annotated[float, Field(gt=0, le=1)] = 1.0
    labelled_seed: Seed = 0
    digits: DigitsSettings = DigitsSettings()
    trees: TreesSettings = TreesSettings()
    coco_dir: CocoDirSettings = CocoDirSettings()
    yolo_dir: YoloDirSettings = YoloDirSettings()
    voc_dir: VocDirSettings = VocDirSettings()

    @model_validator(mode="after")
    def _embedded_ones_have_a_test_split(self) -> Self:
        if self.choose_on == "train" and not isinstance(getattr(self, self.name), FolderSettings):
            raise ValueError(
                f"choose_on is 'train', which is for a folder of yours without a test split, and {self.name} has one; "
                "set it to val"
            )
        return self

    @property
    def has_unlabelled(self) -> bool:
        """Whether there are pictures without boxes."""
        return (
            self.unlabelled is not None or self.labelled_share < 1 or (self.name == "trees" and self.trees.unlabelled)
        )

    def of_folder(self) -> FolderSettings:
        """The section of the chosen data set, which is a folder of the user's.

        Raises:
            ValueError: an embedded one is chosen.
        """
        chosen = getattr(self, self.name)
        if not isinstance(chosen, FolderSettings):
            raise ValueError(f"data.name is {self.name!r}, which is no folder of the user's")
        return chosen
