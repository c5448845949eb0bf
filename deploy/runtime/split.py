"""A split of a prepared data set, as all but the data stage read it: its images, categories and boxes.

What a user's own json may hold wrong is found and told by the data stage, which reads it in a way of its own. Here the
file is held to be one that the stage wrote, or it is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from deploy.runtime.errors import ArtefactError, shown
from deploy.runtime.text_files import UnreadableText, is_finite, is_whole, read_json


class _Rule(NamedTuple):
    """What a value of an entry is; ``optional``: it may be missing."""

    text: str
    holds: Callable[[Any], bool]
    optional: bool = False


def is_box(value: object) -> bool:
    """Whether this is x, y, width and height."""
    return isinstance(value, list) and len(value) == 4 and all(map(is_finite, value)) and min(value[2:]) >= 0


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


_WHOLE = _Rule("a whole number", is_whole)
_TEXT = _Rule("a text", _is_text)
_SIZE = _Rule("a whole number", is_whole, optional=True)
_RULES: Mapping[str, Mapping[str, _Rule]] = {
    "images": {"id": _WHOLE, "file_name": _TEXT, "width": _SIZE, "height": _SIZE},
    "categories": {"id": _WHOLE, "name": _TEXT},
    "annotations": {
        "image_id": _WHOLE,
        "category_id": _WHOLE,
        "bbox": _Rule("[x, y, width, height]", is_box),
        "area": _Rule("a number", is_finite, optional=True),
        "iscrowd": _Rule("0 or 1", lambda value: type(value) is int and value in (0, 1), optional=True),
    },
}


@dataclass(frozen=True)
class Split:
    """The lists of a COCO json, in the order of the file."""

    images: list[dict[str, Any]]
    categories: list[dict[str, Any]]
    annotations: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a split.

        Raises:
            ArtefactError: the file is missing or none that the data stage wrote.
        """
        try:
            content = read_json(path)
        except UnreadableText as error:
            raise _foreign(path, str(error)) from error
        if problem := next(_problems(content), ""):
            raise _foreign(path, problem)
        return cls(content["images"], content["categories"], content["annotations"])

    def spaced(self, count: int | None) -> Self:
        """``count`` of the images, evenly spaced over the split, and their boxes; all where it has no more, or None."""
        if count is None or count >= len(self.images):
            return self
        images = [self.images[place * len(self.images) // count] for place in range(count)]
        kept = {image["id"] for image in images}
        return replace(self, images=images, annotations=[box for box in self.annotations if box["image_id"] in kept])

    @property
    def files(self) -> list[str]:
        """File names of the images."""
        return [image["file_name"] for image in self.images]


def _foreign(path: Path, why: str) -> ArtefactError:
    return ArtefactError(f"{path}: no split of a prepared data set ({why}); run `dvc repro data`")


def _problems(content: object) -> Iterator[str]:
    for name, rules in _RULES.items():
        entries = content.get(name) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            yield f"the list {name!r} is missing"
            continue
        for place, entry in enumerate(entries):
            if not isinstance(entry, dict):
                yield f"{name}[{place}] is {shown(entry)}"
                continue
            for key, rule in rules.items():
                if key in entry and not rule.holds(entry[key]):
                    yield f"{name}[{place}].{key} must be {rule.text}, got {shown(entry[key])}"
                elif key not in entry and not rule.optional:
                    yield f"{name}[{place}] has no {key}"
    yield from _unknown(content)


def _unknown(content: Any) -> Iterator[str]:
    """Boxes of images or categories that are not there."""
    for key, name in (("image_id", "images"), ("category_id", "categories")):
        known = {entry["id"] for entry in content[name]}
        for place, entry in enumerate(content["annotations"]):
            if entry[key] not in known:
                yield f"annotations[{place}].{key} {entry[key]} is none of {name}"
