"""A COCO json of the user's, of which only what validation reads is kept: COCO's own is polygons for the most part."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.datasets.box_entries import BoxEntries
from pipeline.datasets.json_files import read_json
from pipeline.datasets.json_stream import NotInPieces, read_in_pieces

_IMAGE_KEYS = ("id", "file_name", "width", "height")


class _ImageEntries(list[Any]):
    """A list whose objects keep what validation reads of an image, and what else is asked for."""

    def __init__(self, more: Sequence[str]) -> None:
        super().__init__()
        self._keys = (*_IMAGE_KEYS, *more)

    def append(self, entry: Any, /) -> None:
        if isinstance(entry, dict):
            entry = {key: entry[key] for key in self._keys if key in entry}
        super().append(entry)


def read_annotation_file(path: Path, image_keys: Sequence[str] = ()) -> object:
    """Return what stands in the file; of a COCO json ``images``, ``annotations`` and ``categories``.

    Of images and annotations the keys that :func:`pipeline.datasets.annotations.read_annotations` reads, and of images
    ``image_keys``; the annotations as :class:`BoxEntries`.

    Raises:
        OSError, ValueError, RecursionError: as :func:`pipeline.datasets.json_files.read_json`.
    """
    boxes = BoxEntries()
    content: object
    try:
        content = read_in_pieces(path, {"images": _ImageEntries(image_keys), "annotations": boxes, "categories": []})
    except NotInPieces:
        content = None
    # Not within the handler, where the error would hold all that has been read.
    if content is None:
        content = read_json(path)
    if not isinstance(content, dict):
        return content
    kept = {key: content[key] for key in ("images", "annotations", "categories") if key in content}
    if isinstance(kept.get("annotations"), list):
        kept["annotations"] = BoxEntries(kept["annotations"])
    return kept
