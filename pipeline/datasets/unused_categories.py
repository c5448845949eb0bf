"""Categories that no split has a box of, and the one that an export adds to them as the name of all the others.

Roboflow's COCO export begins with such a category: id 0, no box, the ``supercategory`` of the others. Kept, it is a
class that a detector gives its share of places to and that no number can be measured of.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pipeline.datasets.box_entries import BoxEntries
from pipeline.datasets.findings import Findings

Contents = Mapping[str, object]
"""By split, what stands in a COCO json; nobody has checked it yet."""

_KEY = "data.coco_dir.unused_categories"


def without_unused(contents: Contents, setting: Literal["keep", "drop"] | None, notes: Findings) -> dict[str, object]:
    """The contents without categories that have no box in any split, where ``setting`` is ``drop``.

    Args:
        contents: what is no COCO json is returned as it is.
        setting: the user's; without it, a category that looks like the name of the others is an error that asks for it.
        notes: gets that error, or a warning for each category that is left out.
    """
    used = {number for content in contents.values() for number in _boxed(content)}
    unused = {
        number: entry.get("name")
        for content in contents.values()
        for entry in _categories(content)
        if (number := _number(entry)) is not None and number not in used
    }
    if setting is None and used and 0 in unused and _names_others(unused[0], contents):
        text = (
            "{!r} has no box in any split and is the supercategory of others, as in an export of Roboflow, where it is "
            f"no class; say in params.yaml whether it is one: `{_KEY}: keep`, or `drop` for the data set without its "
            "unused categories"
        )
        notes.error("category 0", text, unused[0])
    if setting != "drop" or not used:
        return dict(contents)
    for number, name in unused.items():
        notes.warning(f"category {number}", f"{{!r}} has no box in any split; left out ({_KEY}: drop)", name)
    return {name: _without(content, unused) for name, content in contents.items()}


def _without(content: object, unused: Mapping[int, object]) -> object:
    if not isinstance(content, dict) or not isinstance(content.get("categories"), list):
        return content
    return {**content, "categories": [entry for entry in content["categories"] if _number(entry) not in unused]}


def _number(entry: object) -> int | None:
    number = entry.get("id") if isinstance(entry, dict) else None
    return number if type(number) is int else None


def _names_others(name: object, contents: Contents) -> bool:
    entries = [entry for content in contents.values() for entry in _categories(content)]
    return isinstance(name, str) and name in [entry.get("supercategory") for entry in entries if _number(entry) != 0]


def _categories(content: object) -> list[dict[str, Any]]:
    entries = content.get("categories") if isinstance(content, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


def _boxed(content: object) -> set[int]:
    entries = content.get("annotations") if isinstance(content, dict) else None
    return entries.category_ids() if isinstance(entries, BoxEntries) else set()
