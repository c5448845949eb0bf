"""How findings name images and boxes that the user's files do not number: by file, and line or object in it."""

import re
from array import array
from bisect import bisect_right
from collections.abc import Sequence

from pipeline.datasets.box_entries import BoxEntries, Entry

_NUMBERED = re.compile(r"(image|annotation) ([0-9]{1,18})")


class LabelledImages:
    """Collects images and boxes of one split as COCO's lists, whose ids count from 1 in the order of arrival.

    Args:
        unit: what a box is in its file: ``line``, ``object``.
    """

    def __init__(self, unit: str) -> None:
        self.images: list[Entry] = []
        self.boxes = BoxEntries()
        self._unit = unit
        self._files: list[str] = []
        self._first = array("q")
        self._places = array("q")

    def add_image(self, file_name: str, label_file: str, width: object = None, height: object = None) -> None:
        """The next image, whose boxes follow; ``label_file`` is the file that they are from, as findings name it."""
        self.images.append({"id": len(self.images) + 1, "file_name": file_name, "width": width, "height": height})
        self._files.append(label_file)
        self._first.append(len(self._places) + 1)

    def add_box(self, category: int, box: Sequence[float], place: int, crowd: bool = False) -> None:
        """A box ``x, y, w, h`` of the latest image; ``place`` is its line or object, from 1."""
        self._places.append(place)
        self.boxes.append(
            {
                "id": len(self._places),
                "image_id": len(self.images),
                "category_id": category,
                "bbox": list(box),
                "iscrowd": int(crowd),
            }
        )

    def named(self, item: str) -> str:
        """What the user's files call ``image 3`` or ``annotation 5``; other items stay as they are."""
        match = _NUMBERED.fullmatch(item)
        number = int(match[2]) if match else 0
        if match and match[1] == "image" and 1 <= number <= len(self.images):
            return str(self.images[number - 1]["file_name"])
        if match and match[1] == "annotation" and 1 <= number <= len(self._places):
            file = self._files[bisect_right(self._first, number) - 1]
            return f"{file} {self._unit} {self._places[number - 1]}"
        return item
