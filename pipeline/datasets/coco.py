"""The COCO json of this pipeline: how its entries are built, and what a data set hands over to be checked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.dataset_settings import DataSettings
from pipeline.datasets.findings import Finding
from pipeline.setting_types import BoxesOutside, BoxOrientation

Coco = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class SourceSplit:
    """One split as a source delivers it.

    Attributes:
        annotations: the file, or what else findings are about.
        content: parsed json, or what reads as such, that nobody has checked yet.
        orientation: which way up the boxes of images that EXIF turns are meant; None: nobody said.
        outside: what becomes of boxes that reach over their image.
        section: where in ``params.yaml`` the two are set.
        named: what the user's files call an image or a box, as :class:`Findings` takes it.
        groups: what the annotations say of an image's group, by its id, where the user names it so.
        in_shares: boxes are in shares of their image's width and height, and not in pixels.
    """

    annotations: str
    content: object
    image_root: Path
    orientation: BoxOrientation | None = None
    outside: BoxesOutside = "error"
    section: str = "data.coco_dir"
    named: Callable[[str], str] | None = None
    groups: Mapping[int, object] = field(default_factory=dict)
    in_shares: bool = False


@dataclass(frozen=True)
class Source:
    """A data set before validation; ``composed`` marks synthetic compositions.

    ``unlabelled`` is a folder of pictures without boxes that it has made beside its splits.
    """

    title: str
    composed: bool
    credits: list[str]
    splits: dict[str, SourceSplit]
    findings: list[Finding] = field(default_factory=list)
    unlabelled: Path | None = None


# A data set is one such function: (settings, cache for downloads, empty folder to write images into) -> Source.
MakeSource = Callable[[DataSettings, Path, Path], Source]


@dataclass(frozen=True)
class Box:
    """One object: class index (from 0) and corners in pixels, the right and lower edges exclusive."""

    label: int
    x1: int
    y1: int
    x2: int
    y2: int


class CocoWriter:
    """Collects the images and boxes of one split; ids count from 1 in the order of arrival."""

    def __init__(self, classes: Sequence[str]) -> None:
        categories = [{"id": index + 1, "name": name} for index, name in enumerate(classes)]
        self.content: Coco = {"images": [], "annotations": [], "categories": categories}

    def add(
        self, file_name: str, width: int, height: int, boxes: Sequence[Box], crowd: Sequence[bool] | None = None
    ) -> None:
        """Append one image of ``width`` x ``height`` pixels and its boxes; ``crowd`` marks those COCO is to ignore."""
        image_id = len(self.content["images"]) + 1
        self.content["images"].append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        for box, ignored in zip(boxes, crowd or [False] * len(boxes), strict=True):
            size = (box.x2 - box.x1, box.y2 - box.y1)
            entry = {
                "id": len(self.content["annotations"]) + 1,
                "image_id": image_id,
                "category_id": box.label + 1,
                "bbox": [box.x1, box.y1, *size],
                "area": size[0] * size[1],
                "iscrowd": int(ignored),
            }
            self.content["annotations"].append(entry)
