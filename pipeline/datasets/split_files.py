"""The files of one prepared split."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from pipeline.datasets.box_entries import Entry
from pipeline.datasets.prepared import names_file
from pipeline.datasets.validation import CheckedSplit, SplitContent
from pipeline.records import SplitRecord
from pipeline.storage import replace_atomic, write_atomic

_AT_ONCE = 1000


def write_split(name: str, split: CheckedSplit, image_root: str, folder: Path) -> SplitRecord:
    """Write ``<name>.json`` and ``<name>.txt``, the names of its images one a line in the same order.

    The record's hash covers the json and the content of every image in its order.
    ``boxes`` and ``boxes_per_class`` leave out the crowd boxes, which are counted by themselves.
    """
    digest = hashlib.sha256()

    def write(part: Path) -> None:
        with part.open("wb") as stream:
            for piece in _json(split.content):
                stream.write(piece)
                digest.update(piece)

    annotations = folder / f"{name}.json"
    replace_atomic(annotations, write)
    # No name has a line break in it: validation takes no control characters.
    write_atomic(names_file(annotations), "".join(f"{entry['file_name']}\n" for entry in split.content["images"]))
    for image_hash in split.hashes:
        digest.update(image_hash.encode())
    entries = split.content["annotations"]
    flagged = zip(entries.numbers("category_id"), entries.numbers("iscrowd"), strict=True)
    boxes = Counter(category for category, crowd in flagged if not crowd)
    with_boxes = set(entries.numbers("image_id"))
    return SplitRecord(
        annotations=annotations.name,
        image_root=image_root,
        sha256=digest.hexdigest(),
        images=len(split.content["images"]),
        boxes=boxes.total(),
        crowd_boxes=len(entries) - boxes.total(),
        images_without_boxes=sum(entry["id"] not in with_boxes for entry in split.content["images"]),
        boxes_per_class={entry["name"]: boxes[entry["id"]] for entry in split.content["categories"]},
    )


def _json(content: SplitContent) -> Iterator[bytes]:
    """What ``json.dumps`` makes of it as lists, in pieces."""
    before = "{"
    lists: tuple[Sequence[Entry], ...] = content["images"], content["annotations"], content["categories"]
    for key, entries in zip(("images", "annotations", "categories"), lists, strict=True):
        yield f"{before}{json.dumps(key)}: [".encode()
        for place, some in enumerate(_batches(entries)):
            yield ((", " if place else "") + json.dumps(some)[1:-1]).encode()
        before = "], "
    yield b"]}"


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
