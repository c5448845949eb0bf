"""Val, and test where there is none either, taken from train where a data set has no val, or val is its test."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.dataset_settings import GroupSettings, MadeSplitSettings
from pipeline.datasets.coco import SourceSplit
from pipeline.datasets.findings import Findings
from pipeline.datasets.grouping import joined, pairs_of_equal
from pipeline.datasets.near_duplicates import alike
from pipeline.datasets.split_assignment import ImageToSplit, MadeSplit, assign
from pipeline.datasets.validation import CheckedSplit, SplitContent
from pipeline.records import MadeSplits

_NAMED = 5


def make_splits(
    whole: CheckedSplit,
    source: SourceSplit,
    settings: MadeSplitSettings,
    with_test: bool,
    notes: Findings,
    own_val_is_test: bool = False,
) -> tuple[dict[str, CheckedSplit], MadeSplits]:
    """Divide a valid split.

    Args:
        whole: all images; none of them has an error. With looks, where images that look alike stay together.
        source: the split as it was delivered: which groups its annotations name.
        settings: shares, seed and what stays together.
        with_test: whether a test split is taken too.
        notes: gets what was done, and an error where no split comes of it.
        own_val_is_test: the data set has a val split, which is to be its test split.
    """
    names = [entry["file_name"] for entry in whole.content["images"]]
    keys = _keys(whole.content["images"], source, settings.group_by, notes)
    pairs = pairs_of_equal(keys) + pairs_of_equal(whole.hashes)
    found = whole.looks if settings.near_duplicates == "together" else []
    # In the order of names, as groups must not depend on the order in which images are listed.
    order = sorted(range(len(found)), key=names.__getitem__)
    similar = [(order[first], order[second]) for first, second in alike([found[place] for place in order])]
    groups = joined(len(names), pairs + similar)
    shares: dict[MadeSplit, float] = {"test": settings.test} if with_test else {}
    assigned = assign(images_to_split(whole.content), groups, {**shares, "val": settings.val}, settings.seed)
    parts = {
        name: whole.only([place for place, split in enumerate(assigned) if split == name])
        for name in ("train", "val", *(("test",) if with_test and settings.test else ()))
    }
    record = MadeSplits(
        seed=settings.seed,
        val=settings.val,
        test=settings.test if with_test else None,
        group_by=settings.group_by.model_dump(exclude_none=True) if settings.group_by else None,
        near_duplicates=settings.near_duplicates,
        own_val_is_test=own_val_is_test,
        groups=len(groups),
        largest_group=max(map(len, groups)),
    )
    _tell(parts, record, source.section, notes)
    _tell_of_duplicates(joined(len(names), similar), names, notes)
    return parts, record


def images_to_split(content: SplitContent) -> list[ImageToSplit]:
    """Each image with the classes that it has boxes of, crowd boxes aside."""
    names = [entry["file_name"] for entry in content["images"]]
    labels = {entry["id"]: entry["name"] for entry in content["categories"]}
    places = {entry["id"]: place for place, entry in enumerate(content["images"])}
    classes: list[set[str]] = [set() for _ in names]
    boxes = content["annotations"]
    columns = (boxes.numbers(key) for key in ("image_id", "category_id", "iscrowd"))
    for image, category, crowd in zip(*columns, strict=True):
        if not crowd:
            classes[places[image]].add(labels[category])
    return [ImageToSplit(name, frozenset(some)) for name, some in zip(names, classes, strict=True)]


def _keys(
    images: Sequence[Mapping[str, Any]], source: SourceSplit, group_by: GroupSettings | None, notes: Findings
) -> list[object]:
    """The group of each image, as the user has it; an error for each that has none."""
    if group_by is None:
        return [None] * len(images)
    keys: list[object] = []
    for entry in images:
        if group_by.key is not None:
            key = source.groups.get(entry["id"])
        else:
            match = re.match(group_by.name or "", entry["file_name"])
            key = match and (match[1] if match.re.groups else match[0])
        if key is None:
            text = f"{{}} has no group: {{}} does not tell it ({source.section}.splits.group_by)"
            notes.error(f"image {entry['id']}", text, entry["file_name"], group_by.key or group_by.name)
        keys.append(key)
    return keys


def _tell(parts: Mapping[str, CheckedSplit], record: MadeSplits, section: str, notes: Findings) -> None:
    counts = {name: len(part.content["images"]) for name, part in parts.items()}
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    why = "val is the test split (data.choose_on)" if record.own_val_is_test else "there is no val split"
    notes.warning(
        "splits",
        f"{why}: images are split by seed {{}} into {{}} ({section}.splits); {{}} groups of up to {{}} image(s) stay "
        "whole",
        *(record.seed, told, record.groups, record.largest_group),
    )
    boxed = {name: part.boxed_categories() for name, part in parts.items()}
    if empty := [name for name, found in boxed.items() if not found]:
        notes.error(
            "splits",
            f"{{}} would have no box ({{}}): too few images, or too few groups; name splits of your own, or change "
            f"shares, group_by or near_duplicates under {section}.splits",
            *(" and ".join(empty), told),
        )
        return
    everywhere = set.union(*boxed.values())
    for name, found in boxed.items():
        for entry in parts[name].content["categories"]:
            if entry["id"] in everywhere - found:
                notes.warning(f"{name}: category {entry['id']}", "{!r} has no box in this split", entry["name"])


def _size_first(group: Sequence[str]) -> tuple[int, Sequence[str]]:
    return -len(group), group


def _tell_of_duplicates(groups: Sequence[Sequence[int]], names: Sequence[str], notes: Findings) -> None:
    several = sorted((sorted(names[place] for place in group) for group in groups if len(group) > 1), key=_size_first)
    if several:
        sizes = Counter(map(len, several))
        notes.warning(
            "splits",
            "{} images look like another one and stay in one split with it, in {} groups of up to {}; the first: {}",
            *(sum(size * count for size, count in sizes.items()), len(several), max(sizes)),
            ", ".join(several[0][:_NAMED]) + (", ..." if len(several[0]) > _NAMED else ""),
        )
