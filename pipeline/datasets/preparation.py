"""Data sets: each is one function that delivers COCO json and images; all are validated and written the same way."""

import os
from collections.abc import Mapping
from pathlib import Path

from pipeline.dataset_settings import DataSettings
from pipeline.datasets import coco_dir, digits, trees, voc_dir, yolo_dir
from pipeline.datasets.coco import MakeSource, SourceSplit
from pipeline.datasets.findings import Finding, Findings, grouped, raise_errors, write_list
from pipeline.datasets.made_splits import make_splits
from pipeline.datasets.prepared import FINDINGS_FILE, RECORD_FILE
from pipeline.datasets.split_files import write_split
from pipeline.datasets.validation import CheckedSplit, validate
from pipeline.layout import CACHE, DATASET
from pipeline.records import DatasetRecord, MadeSplits
from pipeline.storage import fresh_directory

SOURCES: dict[str, MakeSource] = {
    "digits": digits.make,
    "trees": trees.make,
    "coco_dir": coco_dir.make,
    "yolo_dir": yolo_dir.make,
    "voc_dir": voc_dir.make,
}


def prepare(settings: DataSettings, out_dir: Path = DATASET, cache_dir: Path = CACHE) -> DatasetRecord:
    """Make, validate and write the chosen data set; ``out_dir`` is replaced as a whole or stays as it was.

    ``out_dir`` then holds ``dataset.json`` (the returned record), ``findings.txt`` with all that was found,
    ``<split>.json`` (COCO, category ids 1..K), ``<split>.txt`` (the file names of its images) and, for the embedded
    sets, ``images/<split>/*.png``. Images of a folder of the user's are not copied. Where a data set has no val
    split, val and test are taken from train (``data.*.splits``); where it has val and no test, val serves as test. Both
    with a warning in the record.

    Raises:
        DatasetError: the data set is unusable; every finding is listed in ``<out_dir>_findings.txt`` beside it.
        DownloadError: the photos of an embedded set cannot be fetched.
    """
    with fresh_directory(out_dir) as scratch:
        source = SOURCES[settings.name](settings, cache_dir, scratch)
        list_file = out_dir.with_name(f"{out_dir.name}_findings.txt")
        checked, found = validate(source.splits)
        findings = [*source.findings, *found]
        raise_errors(findings, list_file)
        made = None
        if "val" not in checked:
            checked, made, found = _made_splits(settings, source.splits, checked)
            findings += found
            raise_errors(findings, list_file)
        places = {name: source.splits.get(name, source.splits["train"]) for name in checked}
        if "test" not in checked:
            notes = Findings(places["val"].annotations)
            notes.warning(
                "whole file", "there is no test split of its own: val is used as test, which flatters the result"
            )
            findings += notes.found
            checked["test"], places["test"] = checked["val"], places["val"]
        roots = {name: _recorded_root(split.image_root, scratch, out_dir) for name, split in places.items()}
        record = DatasetRecord(
            name=settings.name,
            title=source.title,
            composed=source.composed,
            classes=[category["name"] for category in checked["train"].content["categories"]],
            splits={name: write_split(name, split, roots[name], scratch) for name, split in checked.items()},
            credits=source.credits,
            made_splits=made,
            findings=grouped(findings),
        )
        if findings:
            write_list(findings, scratch / FINDINGS_FILE)
        record.write(scratch / RECORD_FILE)
    return record


def _made_splits(
    settings: DataSettings, sources: Mapping[str, SourceSplit], checked: Mapping[str, CheckedSplit]
) -> tuple[dict[str, CheckedSplit], MadeSplits, list[Finding]]:
    """The splits with val, and test where there is none, taken from train."""
    train = sources["train"]
    notes = Findings(train.annotations, train.named)
    own = settings.of_folder().splits
    parts, made = make_splits(checked["train"], train, own, "test" not in checked, notes)
    order = ("train", "val", "test")
    both = {**checked, **parts}
    return {name: both[name] for name in order if name in both}, made, notes.found


def _recorded_root(image_root: Path, scratch: Path, out_dir: Path) -> str:
    """Return ``image_root`` so that joining it to the data set's folder leads to the images (see ``layout``)."""
    if image_root.is_relative_to(scratch):
        return image_root.relative_to(scratch).as_posix()
    if image_root.is_absolute():
        return str(image_root)
    return Path(os.path.relpath(image_root, out_dir)).as_posix()
