"""What a prediction leaves: annotated pictures and a COCO-style json. A file has its name only once it is whole."""

import json
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cv2

from deploy.runtime.detections import Detections
from deploy.runtime.images import Image

_JPEG_LIMIT = 65_000


class CocoFile:
    """A COCO file that is written while detections come in: nothing of it is held but the entries of videos.

    It holds ``categories`` (ids count from 1 in the order of ``classes``), ``images``, ``annotations`` with a ``score``
    and, if there are any, ``videos``. A frame is an entry of ``images`` too. The file replaces an earlier one when the
    block ends without an error.

    Args:
        path: the file to be.
        classes: names by label.
        parts: a folder of this process's own on the same file system, for the file until it is whole.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path, classes: tuple[str, ...], parts: Path) -> None:
        self.images = self.annotations = 0
        self.videos: list[dict[str, Any]] = []
        self._path = path
        self._part = parts / "detections.json"
        self._category_ids = range(1, len(classes) + 1)
        categories = [{"id": number, "name": name} for number, name in zip(self._category_ids, classes, strict=True)]
        self._stream = self._part.open("w", encoding="utf-8")
        self._stream.write(f'{{"categories": {json.dumps(categories)}, "annotations": [')
        # A list within the file cannot grow while another one does.
        self._entries = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed with the file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            with self._stream, self._entries:
                if kind is None:
                    self._finish()
            if kind is None:
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)

    def add_image(self, image: Image, found: Detections, **entry: object) -> None:
        """Add an image or a frame and what was found in it; ``entry`` is what its entry holds beside id and size."""
        number, (height, width) = self.images + 1, image.shape[:2]
        separator = ",\n" if self.images else "\n"
        self._entries.write(separator + json.dumps({"id": number, **entry, "width": width, "height": height}))
        self.images = number
        for item in found.to_coco(number, self._category_ids):
            area = item["bbox"][2] * item["bbox"][3]
            separator = ",\n" if self.annotations else "\n"
            self.annotations += 1
            self._stream.write(separator + json.dumps({"id": self.annotations, **item, "area": area, "iscrowd": 0}))

    def _finish(self) -> None:
        self._stream.write('\n], "images": [')
        self._entries.seek(0)
        shutil.copyfileobj(self._entries, self._stream)
        self._stream.write("\n]")
        if self.videos:
            self._stream.write(f', "videos": {json.dumps(self.videos)}')
        self._stream.write("}\n")


def write_picture(path: Path, image: Image, parts: Path) -> None:
    """Write a JPEG; sides beyond what JPEG can hold are shrunk with the whole picture. ``parts``: as above."""
    if (longest := max(image.shape[:2])) > _JPEG_LIMIT:
        factor = _JPEG_LIMIT / longest
        size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
        shrunk = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    else:
        shrunk = image
    _, content = cv2.imencode(".jpg", shrunk, [cv2.IMWRITE_JPEG_QUALITY, 92])
    part = parts / "picture.jpg"
    try:
        part.write_bytes(content.tobytes())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
