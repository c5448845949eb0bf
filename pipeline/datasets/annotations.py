"""Checks of one COCO json by itself: what of it is well formed, and a finding for everything that is not.

Training (mmdet) and evaluation (pycocotools) read some values differently, which nobody would notice: mmdet learns from
no box whose area is not above 0 and from none with ``ignore``, pycocotools counts both. Such a value gets one meaning.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from deploy.runtime.errors import shown
from deploy.runtime.text_files import is_finite, is_whole
from pipeline.datasets.box_entries import BoxEntries, Entry
from pipeline.datasets.findings import Findings

# Overflow over the border that annotation tools produce by rounding; larger is an error.
TOLERANCE = 1.0
# COCO's evaluators leave out what is larger.
_LARGEST_AREA = 1e5**2
# By Unicode's category. Spaces other than ASCII's are fine: macOS puts U+202F into the names of screenshots.
_UNUSABLE = {"Cc": "a control character", "Cs": "half a surrogate pair"}
_KEYS = ("images", "annotations", "categories")
_NAMED = 5
_FLAGS = (None, 0, 1)
_NO_ID = "needs a whole number (0 to 2^53) as id, got {}"
_USED_TWICE = "this id is used twice: {!r} and {!r}"

_Problem = tuple[Any, ...]
"""A text and its values, as :class:`Findings` takes them."""


@dataclass(frozen=True)
class Annotations:
    """The well-formed part of one COCO json. ``categories`` are (id, name) sorted by id."""

    categories: list[tuple[int, str]]
    images: dict[int, Entry]
    objects: BoxEntries


def read_annotations(content: object, findings: Findings) -> Annotations | None:
    """Check ``content`` and return what is well formed, or None when it is no COCO json at all.

    Image entries keep ``id, file_name, width, height`` (the last two may be None), objects
    ``id, image_id, category_id, bbox, area, iscrowd``; other keys (segmentation, licence, ...) are not read.
    An area that no box can have becomes width x height, an object with ``ignore`` a crowd box; one warning counts each.
    """
    lists: dict[str, Any] = {key: _field(content, key) for key in _KEYS}
    if bad := [key for key, value in lists.items() if not isinstance(value, list | BoxEntries)]:
        text = "no COCO json: it needs the lists {}; missing or no list: {}"
        findings.error("whole file", text, list(_KEYS), bad)
        return None
    categories = _categories(lists["categories"], findings)
    images = _images(lists["images"], findings)
    objects = _objects(lists["annotations"], set(images), {number for number, _ in categories}, findings)
    if not any(entry["iscrowd"] == 0 for entry in objects):
        findings.error("annotations", "no usable box in this split: nothing could be learnt from it or measured on it")
    return Annotations(categories, images, objects)


def clip_box(box: tuple[float, ...], width: int, height: int, tolerance: float = TOLERANCE) -> tuple[float, ...] | None:
    """Clip ``x, y, w, h`` to the image; None when it reaches more than ``tolerance`` pixels over a border.

    Of a box that is wholly outside, width or height are 0 or less.
    """
    x, y, w, h = box
    if min(x, y) < -tolerance or x + w > width + tolerance or y + h > height + tolerance:
        return None
    if x >= 0 and y >= 0 and x + w <= width and y + h <= height:
        return box
    left, top = max(x, 0.0), max(y, 0.0)
    return left, top, min(x + w, width) - left, min(y + h, height) - top


def unusable_character(value: object) -> str:
    """Which character no file name or output file takes, for the end of a message; json can spell lone surrogates."""
    if not isinstance(value, str) or value.isprintable():
        return ""
    for character in value:
        if kind := _UNUSABLE.get(unicodedata.category(character)):
            return f"; U+{ord(character):04X} in it is {kind}, rename it without"
    return ""


def _categories(entries: list[object], findings: Findings) -> list[tuple[int, str]]:
    names: dict[int, str] = {}
    for position, entry in enumerate(entries):
        number, name = _field(entry, "id"), _field(entry, "name")
        item = f"category {shown(number)}" if _is_id(number) else f"categories[{position}]"
        if not _is_id(number) or not _is_text(name):
            why = unusable_character(name)
            findings.error(item, "needs a whole number as id and a text as name, got {}{}", shown(entry), why)
        elif number in names:
            findings.error(item, _USED_TWICE, names[number], name)
        elif name in names.values():
            findings.error(item, "the name {!r} is used by two categories; rename or merge them", name)
        else:
            names[number] = name
    if not names:
        findings.error("categories", "no usable category")
    return sorted(names.items())


def _images(entries: list[object], findings: Findings) -> dict[int, Entry]:
    images: dict[int, Entry] = {}
    files: dict[str, int] = {}
    for position, entry in enumerate(entries):
        number, name = _field(entry, "id"), _field(entry, "file_name")
        item = f"image {shown(number)}" if _is_id(number) else f"images[{position}]"
        if not _is_id(number):
            findings.error(item, _NO_ID, shown(number))
        elif not _is_inside(name):
            why = unusable_character(name)
            findings.error(item, "file_name must be a path inside the image folder, got {}{}", shown(name), why)
        elif number in images:
            findings.error(item, _USED_TWICE, images[number]["file_name"], name)
        elif name in files:
            findings.error(item, "{!r} is listed already, as image {}; merge the two entries", name, files[name])
        else:
            files[name] = number
            size = {key: _field(entry, key) for key in ("width", "height")}
            images[number] = {"id": number, "file_name": name, **size}
    if not images:
        findings.error("images", "no usable image")
    return images


def _objects(entries: Sequence[object], images: set[int], categories: set[int], findings: Findings) -> BoxEntries:
    seen: set[int] = set()
    objects = BoxEntries()
    without_area, ignored = _Counted(), _Counted()
    for position, entry in enumerate(entries):
        fields: Entry = entry if isinstance(entry, dict) else {}
        number: Any = fields.get("id")
        problems = _id_problems(number, seen) + _link_problems(fields, images, categories) + _value_problems(fields)
        if problems:
            item = f"annotation {shown(number)}" if _is_id(number) else f"annotations[{position}]"
            for problem in problems:
                findings.error(item, *problem)
            continue
        seen.add(number)
        box, area = fields["bbox"], fields.get("area")
        crowd, ignore = int(fields.get("iscrowd") or 0), fields.get("ignore")
        if not (possible := _is_area(area)) and area is not None:
            without_area.add(number, area)
        if ignore and not crowd:
            ignored.add(number, ignore)
        objects.append(
            {
                "id": number,
                "image_id": fields["image_id"],
                "category_id": fields["category_id"],
                "bbox": box,
                "area": area if possible else box[2] * box[3],
                "iscrowd": int(crowd or bool(ignore)),
            }
        )
    _warn_of_repairs(without_area, ignored, len(objects), findings)
    return objects


class _Counted:
    """Annotations of one kind: how many there are, and the first few by id and value."""

    def __init__(self) -> None:
        self.count = 0
        self._named: list[str] = []

    def add(self, number: int, value: object) -> None:
        self.count += 1
        if self.count <= _NAMED:
            self._named.append(f"{number} ({shown(value)})")

    def __str__(self) -> str:
        return ", ".join(self._named) + (", ..." if self.count > _NAMED else "")


def _warn_of_repairs(without_area: _Counted, ignored: _Counted, objects: int, findings: Findings) -> None:
    if without_area.count:
        findings.warning(
            "annotations",
            "{} of {} have an `area` that no box can have, the width x height of bbox is "
            "written instead; training (mmdet) would see none of them: annotation {}",
            *(without_area.count, objects, without_area),
        )
    if ignored.count:
        findings.warning(
            "annotations",
            "{} of {} have `ignore` and become crowd boxes (iscrowd 1): nothing is learnt from "
            "them and detections on them are neither right nor wrong: annotation {}",
            *(ignored.count, objects, ignored),
        )


def _id_problems(number: object, seen: set[int]) -> list[_Problem]:
    if not _is_id(number):
        return [(_NO_ID, shown(number))]
    return [("this id is used twice",)] if number in seen else []


def _link_problems(fields: Entry, images: set[int], categories: set[int]) -> list[_Problem]:
    problems: list[_Problem] = []
    image, category = fields.get("image_id"), fields.get("category_id")
    if not _is_id(image) or image not in images:
        problems.append(("image_id {} is no usable image of this file", shown(image)))
    if not _is_id(category) or category not in categories:
        problems.append(("category_id {} is no usable category of this file", shown(category)))
    return problems


def _value_problems(fields: Entry) -> list[_Problem]:
    problems: list[_Problem] = []
    box, area = fields.get("bbox"), fields.get("area")
    if not isinstance(box, list) or len(box) != 4 or not all(map(is_finite, box)):
        problems.append(("bbox must be four finite numbers [x, y, width, height], got {}", shown(box)))
    elif box[2] <= 0 or box[3] <= 0:
        problems.append(("bbox {} has no area: width and height must be greater than 0", box))
    if area is not None and type(area) not in (int, float):
        problems.append(("area must be a number, got {}; leave it out for width x height", shown(area)))
    if fields.get("iscrowd") in _FLAGS and fields.get("ignore") in _FLAGS:
        return problems
    return problems + [
        (f"{key} must be 0 or 1, got {{}}", shown(flag))
        for key in ("iscrowd", "ignore")
        if (flag := fields.get(key)) not in _FLAGS
    ]


def _field(entry: object, key: str) -> Any:
    return entry.get(key) if isinstance(entry, dict) else None


def _is_id(value: object) -> TypeGuard[int]:
    return is_whole(value) and value >= 0


def _is_area(value: object) -> TypeGuard[int | float]:
    return is_finite(value) and 0 < value <= _LARGEST_AREA


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and bool(value.strip()) and not unusable_character(value)


def _is_inside(name: object) -> TypeGuard[str]:
    if not _is_text(name):
        return False
    return not name.startswith(("/", "\\")) and ".." not in name.replace("\\", "/").split("/")
