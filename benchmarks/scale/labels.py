"""Folders with a file of labels an image, as YOLO and Pascal VOC have them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale.synthetic import CLASSES, SIDE, Entries, boxes_on, images_of

NAMES = [f"class {number}" for number in range(1, CLASSES + 1)]
SPLITS = ("train", "val")
_FEW = 100
_OBJECT = """<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>
<bndbox><xmin>{:.0f}</xmin><ymin>{:.0f}</ymin><xmax>{:.0f}</xmax><ymax>{:.0f}</ymax></bndbox></object>
"""
_VOC = """<annotation><folder>images</folder><filename>{file}</filename>
<size><width>{side}</width><height>{side}</height><depth>3</depth></size><segmented>0</segmented>
{objects}</annotation>
"""


def write_labels(
    root: Path, images: int, folders: Mapping[str, tuple[str, str]], suffix: str, text: Callable[[str, Entries], str]
) -> None:
    """Write a train split of so many images, empty files, and a small val split, each with its labels.

    Args:
        root: the folder.
        images: of train.
        folders: of each split's images and labels, below it.
        suffix: of the labels' files.
        text: what stands in them, of an image's file name and its boxes.
    """
    for split, count in zip(SPLITS, (images, _FEW), strict=True):
        pictures, labels = (root / name for name in folders[split])
        for folder in (pictures, labels):
            folder.mkdir(parents=True, exist_ok=True)
        for file, boxes in _boxes_of_each(count):
            (pictures / file).write_bytes(b"0")
            (labels / file).with_suffix(suffix).write_text(text(file, boxes))


def yolo_text(file: str, boxes: Entries) -> str:
    """A line a box: class, centre and size in shares of the image."""
    rows = [(box["category_id"] - 1, *np.array(box["bbox"]) / SIDE) for box in boxes]
    return "".join(f"{name} {x + w / 2:.6f} {y + h / 2:.6f} {w:.6f} {h:.6f}\n" for name, x, y, w, h in rows)


def voc_text(file: str, boxes: Entries) -> str:
    """An object a box: corners in whole pixels from 1."""
    return _VOC.format(file=file, side=SIDE, objects="".join(map(_voc_object, boxes)))


def _voc_object(box: dict[str, Any]) -> str:
    x, y, w, h = box["bbox"]
    return _OBJECT.format(x + 1, y + 1, x + w, y + h, name=NAMES[box["category_id"] - 1])


def _boxes_of_each(images: int) -> Iterator[tuple[str, Entries]]:
    by_image: dict[int, Entries] = {}
    for box in boxes_on(images, np.random.default_rng(images)):
        by_image.setdefault(box["image_id"], []).append(box)
    for entry in images_of(images):
        yield entry["file_name"], by_image.get(entry["id"], [])
