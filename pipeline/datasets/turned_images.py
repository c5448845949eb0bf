"""Images that the reader turns by EXIF: which way up their boxes are meant.

All that reads images here turns them (training, evaluation, export check, benchmark, ``deploy.predict``). Where the
boxes were drawn on the pixels as they are stored (``orientation: ignore``), it is the boxes that are
turned: every reader then agrees without knowing of it, no picture is written twice, and a detector sees photos the same
way up after its training as in it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.datasets.annotations import Annotations
from pipeline.datasets.box_entries import Entry
from pipeline.datasets.findings import Findings
from pipeline.datasets.image_files import ImageFile
from pipeline.datasets.orientation import UPRIGHT, swaps_sides, turn_box
from pipeline.setting_types import BoxOrientation

_NAMED = 5


class TurnedImages:
    """Decides for each turned image of a data set, and keeps those that only the user can decide for."""

    def __init__(self, section: str = "data.coco_dir") -> None:
        self._key = f"{section}.orientation"
        self._undecided: list[str] = []
        self._file = ""

    def size_in_json(
        self, entry: Entry, file: ImageFile, setting: BoxOrientation | None, boxed: bool, notes: Findings
    ) -> tuple[int, int] | None:
        """Width and height in pixels that ``entry`` must have for its boxes to be right; None after an error.

        Args:
            entry: the image's width and height may be None; they tell which pixels are meant where sides are swapped.
            file: the image.
            setting: the user's, if any.
            boxed: whether the image has boxes; without any there is nothing to ask for.
            notes: gets a warning for a turned image, an error where json and setting contradict each other.
        """
        upright, stored = (file.width, file.height), _stored_size(file)
        if file.orientation == UPRIGHT:
            return upright
        given, item = (entry["width"], entry["height"]), f"image {entry['id']}"
        told: BoxOrientation | None = None
        if upright != stored:
            told = "apply" if given == upright else "ignore" if given == stored else None
        if told not in (None, setting or "apply"):
            notes.error(item, *self._contradiction(entry, file, setting))
            return None
        if setting is None and told is None and boxed and given in (upright, (None, None)):
            self._ask(entry, file, notes)
        meaning = "its boxes must be those of" if setting != "ignore" else "its boxes are turned with it, to"
        text = f"{{}} is rotated by EXIF when it is loaded; {meaning} the rotated image, {{}}x{{}}"
        notes.warning(item, text, entry["file_name"], *upright)
        return stored if setting == "ignore" else upright

    def question(self) -> Findings:
        """One error for all images whose boxes could be meant either way, or nothing."""
        notes = Findings(self._file)
        if count := len(self._undecided):
            named = ", ".join(self._undecided[:_NAMED]) + (", ..." if count > _NAMED else "")
            notes.error(
                "images",
                "{} image(s) with boxes are rotated by EXIF when they are loaded, and their size does not tell "
                "whether the boxes are those of the rotated image: {}; say it in params.yaml with "
                f"`{self._key}: apply` (boxes of the rotated image) or `ignore` (of the pixels as they are stored)",
                *(count, named),
            )
        return notes

    def _ask(self, entry: Entry, file: ImageFile, notes: Findings) -> None:
        self._file = self._file or notes.file
        where = Path(notes.file).name
        image = notes.named(f"image {entry['id']}")
        self._undecided.append(f"{where}: {image} ({entry['file_name']}, orientation {file.orientation})")

    def _contradiction(self, entry: Entry, file: ImageFile, setting: BoxOrientation | None) -> tuple[Any, ...]:
        """Text and values, as :class:`Findings` takes them."""
        sizes = "{} is stored as {}x{} and loaded as {}x{} pixels (EXIF orientation {}), its annotations say {}x{}"
        values = (entry["file_name"], *_stored_size(file), file.width, file.height, file.orientation)
        if setting is None:
            cure = f"if its boxes are those of the pixels as they are stored, set `{self._key}: ignore` in params.yaml"
        else:
            other = "apply" if setting == "ignore" else "ignore"
            cure = f"that contradicts `{self._key}: {setting}`; set it to {other} in params.yaml, or correct the size"
        return f"{sizes}; {cure}", *values, entry["width"], entry["height"]


def turn_boxes(annotations: Annotations, files: Mapping[int, ImageFile], setting: BoxOrientation | None) -> None:
    """With ``ignore``, make boxes and sizes of turned images those of the images as they are loaded.

    Args:
        annotations: changed in place; boxes are inside their images.
        files: what is known of each image, by its id.
        setting: the user's, if any.
    """
    turned = {number: file for number, file in files.items() if file.orientation != UPRIGHT}
    if setting != "ignore" or not turned:
        return
    for place, entry in enumerate(annotations.objects):
        if file := turned.get(entry["image_id"]):
            box = turn_box(tuple(entry["bbox"]), file.orientation, file.width, file.height)
            inside = [max(value, 0) for value in box]  # rounding may leave -1e-15
            annotations.objects[place] = {**entry, "bbox": inside}
    for number, file in turned.items():
        annotations.images[number].update(width=file.width, height=file.height)


def _stored_size(file: ImageFile) -> tuple[int, int]:
    return (file.height, file.width) if swaps_sides(file.orientation) else (file.width, file.height)
