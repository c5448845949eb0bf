"""Data sets: each is one function that delivers COCO json and images; all are validated and written the same way."""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path

from pipeline.dataset_settings import DataSettings
from pipeline.datasets import coco_dir, digits, trees
from pipeline.datasets.coco import MakeSource
from pipeline.datasets.findings import Findings, raise_errors
from pipeline.datasets.prepared import RECORD_FILE
from pipeline.datasets.validation import CheckedSplit, validate
from pipeline.layout import CACHE, DATASET
from pipeline.records import DatasetRecord, SplitRecord
from pipeline.storage import fresh_directory, write_atomic

SOURCES: dict[str, MakeSource] = {"digits": digits.make, "trees": trees.make, "coco_dir": coco_dir.make}


def prepare(settings: DataSettings, out_dir: Path = DATASET, cache_dir: Path = CACHE) -> DatasetRecord:
    """Make, validate and write the chosen data set; ``out_dir`` is replaced as a whole or stays as it was.

    ``out_dir`` then holds ``dataset.json`` (the returned record), ``<split>.json`` (COCO: images, annotations,
    categories with ids 1..K) and, for the embedded sets, ``images/<split>/*.png``. Images of a folder of the
    user's are not copied. Where a data set has no test split, val serves as test, with a warning in the record.

    Raises:
        DatasetError: the data set is unusable; every finding is listed in ``<out_dir>_findings.txt`` beside it.
        DownloadError: the photos of an embedded set cannot be fetched.
    """
    with fresh_directory(out_dir) as scratch:
        source = SOURCES[settings.name](settings, cache_dir, scratch)
        checked, found = validate(source.splits)
        findings = [*source.findings, *found]
        raise_errors(findings, out_dir.with_name(f"{out_dir.name}_findings.txt"))
        roots = {name: _recorded_root(split.image_root, scratch, out_dir) for name, split in source.splits.items()}
        if "test" not in checked:
            notes = Findings(source.splits["val"].annotations)
            notes.warning(
                "whole file", "there is no test split of its own: val is used as test, which flatters the result"
            )
            findings += notes.found
            checked["test"], roots["test"] = checked["val"], roots["val"]
        record = DatasetRecord(
            name=settings.name,
            title=source.title,
            composed=source.composed,
            classes=[category["name"] for category in checked["train"].content["categories"]],
            splits={name: _write_split(name, split, roots[name], scratch) for name, split in checked.items()},
            credits=source.credits,
            findings=findings,
        )
        record.write(scratch / RECORD_FILE)
    return record


def _recorded_root(image_root: Path, scratch: Path, out_dir: Path) -> str:
    """Return ``image_root`` so that joining it to the data set's folder leads to the images (see ``layout``)."""
    if image_root.is_relative_to(scratch):
        return image_root.relative_to(scratch).as_posix()
    if image_root.is_absolute():
        return str(image_root)
    return Path(os.path.relpath(image_root, out_dir)).as_posix()


def _write_split(name: str, split: CheckedSplit, image_root: str, folder: Path) -> SplitRecord:
    """Write ``<name>.json``; the record's hash covers the json and the content of every image in its order.

    ``boxes`` and ``boxes_per_class`` leave out the crowd boxes, which are counted by themselves.
    """
    text = json.dumps(split.content)
    write_atomic(folder / f"{name}.json", text)
    digest = hashlib.sha256(text.encode())
    for image_hash in split.hashes:
        digest.update(image_hash.encode())
    annotations, categories = split.content["annotations"], split.content["categories"]
    boxes = Counter(entry["category_id"] for entry in annotations if not entry["iscrowd"])
    with_boxes = {entry["image_id"] for entry in annotations}
    return SplitRecord(
        annotations=f"{name}.json",
        image_root=image_root,
        sha256=digest.hexdigest(),
        images=len(split.content["images"]),
        boxes=boxes.total(),
        crowd_boxes=len(annotations) - boxes.total(),
        images_without_boxes=sum(entry["id"] not in with_boxes for entry in split.content["images"]),
        boxes_per_class={category["name"]: boxes[category["id"]] for category in categories},
    )
