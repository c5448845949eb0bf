"""Validation of a data set: each split by itself, its images on disk, and the splits against each other.

Every problem becomes a :class:`pipeline.records.Finding` with its file and id. Errors stop the run; warnings are
kept in the data set's record. Nothing is left out without a finding.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypedDict

from pipeline.datasets.annotations import Annotations, read_annotations
from pipeline.datasets.border import check_boxes
from pipeline.datasets.box_entries import BoxEntries, Entry
from pipeline.datasets.coco import SourceSplit
from pipeline.datasets.findings import Finding, Findings
from pipeline.datasets.folder_listing import RealPaths
from pipeline.datasets.image_files import ImageFile, inspect, reason_text
from pipeline.datasets.turned_images import TurnedImages, turn_boxes


class SplitContent(TypedDict):
    """COCO's three lists."""

    images: list[Entry]
    annotations: BoxEntries
    categories: list[Entry]


@dataclass(frozen=True)
class CheckedSplit:
    """A valid split: ``content`` with category ids 1..K in the order of the classes, and each image's SHA-256.

    ``looks``, one an image where they were asked for, are what :mod:`pipeline.datasets.near_duplicates` compares.
    """

    content: SplitContent
    hashes: list[str]
    looks: list[int] = field(default_factory=list)

    def boxed_categories(self) -> set[int]:
        """The ids of the categories that it has boxes of, crowd boxes aside."""
        boxes = self.content["annotations"]
        flags = zip(boxes.numbers("category_id"), boxes.numbers("iscrowd"), strict=True)
        return {category for category, crowd in flags if not crowd}

    def only(self, places: Sequence[int]) -> "CheckedSplit":
        """The split of the images at these positions and their boxes."""
        images = [self.content["images"][place] for place in places]
        kept = {entry["id"] for entry in images}
        boxes = BoxEntries(entry for entry in self.content["annotations"] if entry["image_id"] in kept)
        content: SplitContent = {"images": images, "annotations": boxes, "categories": self.content["categories"]}
        looks = [self.looks[place] for place in places] if self.looks else []
        return CheckedSplit(content, [self.hashes[place] for place in places], looks)


def validate(
    splits: Mapping[str, SourceSplit], compared: Collection[str] = ()
) -> tuple[dict[str, CheckedSplit], list[Finding]]:
    """Check all splits; without an error among the findings the returned splits are complete and consistent.

    Image and annotation ids are kept (except annotation id 0, see :func:`_number_from_one`), category ids become
    1..K in the order of the ids, boxes that reach up to 1 px over the border are clipped, crowd boxes are kept.
    ``compared`` are the splits whose images get their looks.
    """
    checked: dict[str, CheckedSplit] = {}
    categories: dict[str, list[tuple[int, str]]] = {}
    findings: list[Finding] = []
    section = next((split.section for split in splits.values()), "")
    seen, turned = _SeenImages(), TurnedImages(section)
    for name, split in splits.items():
        notes = Findings(split.annotations, split.named)
        annotations = read_annotations(split.content, notes)
        if annotations is not None:
            categories[name] = annotations.categories
            checked[name] = _check_split(name, split, annotations, seen, turned, name in compared, notes)
        findings += notes.found
    findings += turned.question().found
    findings += _category_findings(splits, categories)
    return checked, findings


def _check_split(
    name: str,
    split: SourceSplit,
    annotations: Annotations,
    seen: "_SeenImages",
    turned: TurnedImages,
    with_looks: bool,
    notes: Findings,
) -> CheckedSplit:
    files = _check_images(name, split.image_root, annotations, seen, with_looks, notes)
    boxed_images = set(annotations.objects.numbers("image_id"))
    for number, file in files.items():
        entry = annotations.images[number]
        size = turned.size_in_json(entry, file, split.orientation, number in boxed_images, notes)
        if size is not None:
            _check_size(entry, size, split, notes)
    check_boxes(annotations, split, notes)
    turn_boxes(annotations, files, split.orientation)
    _number_from_one(annotations.objects, notes)
    order = {number: index + 1 for index, (number, _) in enumerate(annotations.categories)}
    boxed = set(annotations.objects.numbers("category_id"))
    for number, label in annotations.categories:
        if number not in boxed:
            notes.warning(f"category {number}", "{!r} has no box in this split", label)
    annotations.objects.renumber_categories(order)
    content: SplitContent = {
        "images": list(annotations.images.values()),
        "annotations": annotations.objects,
        "categories": [{"id": order[number], "name": label} for number, label in annotations.categories],
    }
    looks = [file.look for file in files.values() if file.look is not None]
    return CheckedSplit(content, [file.sha256 for file in files.values()], looks)


def _check_images(
    name: str, root: Path, annotations: Annotations, seen: "_SeenImages", with_looks: bool, notes: Findings
) -> dict[int, ImageFile]:
    if not root.is_dir():
        notes.error("images", "no such folder: {}", root)
        return {}
    entries = list(annotations.images.values())
    paths = [root / entry["file_name"] for entry in entries]
    readable = {}
    found = inspect(paths, f"checking {name}", with_looks)
    for entry, path, file in zip(entries, paths, found, strict=True):
        item = f"image {entry['id']}"
        if isinstance(file, str):
            notes.error(item, reason_text(file, path), path)
        else:
            readable[entry["id"]] = file
        seen.add(name, item, path, file, notes)
    return readable


def _check_size(entry: Entry, size: tuple[int, int], split: SourceSplit, notes: Findings) -> None:
    """Compare the given size with the file's; fills it in where none is given."""
    item, given = f"image {entry['id']}", (entry["width"], entry["height"])
    if given != (None, None) and given != size:
        text = "its annotations say {!r}x{!r} pixels, {} has {}x{}"
        notes.error(item, text, *given, entry["file_name"], *size)
        return
    if given == (None, None) and not split.in_shares:
        notes.warning(item, "no width and height are given; {}x{} taken from the file", *size)
    entry.update(width=size[0], height=size[1])


def _number_from_one(objects: BoxEntries, notes: Findings) -> None:
    """Give annotation 0 a free number: COCO evaluators read a match with id 0 as no match (pycocotools' dtMatches)."""
    free = max(objects.numbers("id"), default=0) + 1
    for place, number in enumerate(objects.numbers("id")):
        if number == 0:
            notes.warning("annotation 0", "id 0 means 'no match' to COCO evaluators; renumbered to {}", free)
            objects[place] = {**objects[place], "id": free}


class _SeenImages:
    """Finds images that are in the data set already, by their path and by their content."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str, str]] = {}
        self._real_paths = RealPaths()

    def add(self, split: str, item: str, path: Path, file: ImageFile | str, notes: Findings) -> None:
        """Note one image; the same one in two splits is an error, twice in one split a warning."""
        keys = [self._real_paths.of(str(path))] + ([file.sha256] if isinstance(file, ImageFile) else [])
        known = next((self._known[key] for key in keys if key in self._known), None)
        this = (split, notes.named(item), str(path))
        for key in keys:
            self._known.setdefault(key, this)
        if known is None:
            return
        other_split, other_item, other_path = known
        if other_split == split:
            notes.warning(item, "{} has the same content as {}, {}", path, other_item, other_path)
        else:
            text = "{} is also in {} ({}, {}); keep splits disjoint"
            notes.error(item, text, path, other_split, other_item, other_path)


def _category_findings(
    splits: Mapping[str, SourceSplit], categories: Mapping[str, list[tuple[int, str]]]
) -> list[Finding]:
    findings: list[Finding] = []
    first = next(iter(categories), None)
    for name, found in categories.items():
        if first is not None and found != categories[first]:
            notes = Findings(splits[name].annotations)
            differing = sorted(set(found) ^ set(categories[first]))
            text = "differ from those of {} in (id, name) {}"
            notes.error("categories", text, splits[first].annotations, differing[:10])
            findings += notes.found
    return findings
