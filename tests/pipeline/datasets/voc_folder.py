"""A small, valid data set with Pascal VOC's annotations, to be changed and written."""

from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import cv2
import numpy as np

Object = tuple[str, Sequence[object]]
OBJECTS: dict[str, list[Object]] = {
    "a": [("big cat", (16, 8, 25, 22)), ("dog", (1, 1, 8, 12))],
    "b": [("dog", (1, 1, 40, 30))],
}


def document(objects: Sequence[Object], size: tuple[object, object] | None = (40, 30), more: str = "") -> str:
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    boxes = "".join(
        f"<object><name>{escape(name)}</name>{more}<bndbox>"
        + "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
        + "</bndbox></object>"
        for name, box in objects
    )
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotation><folder>/etc</folder>{sides}{boxes}</annotation>'


class VocFolder:
    """VOC's own layout: train has the images a and b of 40 x 30 pixels with three boxes, val c and d, test e and f."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.splits = {"train": "ab", "val": "cd", "test": "ef"}
        names = [name for some in self.splits.values() for name in some]
        self.files = {name: document(OBJECTS["ab"[place % 2]]) for place, name in enumerate(names)}

    def write(self) -> "VocFolder":
        for number, (name, text) in enumerate(self.files.items()):
            self.write_image(f"JPEGImages/{name}.png", number)
            self.write_text(f"Annotations/{name}.xml", text)
        for split, names in self.splits.items():
            self.write_text(f"ImageSets/Main/{split}.txt", "\n".join(names) + "\n")
        return self

    def write_text(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def write_image(self, name: str, seed: int) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, (30, 40, 3), np.uint8)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels)
        return path
