"""Data sets: each is one function that delivers COCO json and images; all are validated and written the same way."""

import os
from pathlib import Path

from pipeline.dataset_settings import DataSettings
from pipeline.datasets import coco_dir, digits, trees
from pipeline.datasets.coco import MakeSource
from pipeline.datasets.findings import Findings, grouped, raise_errors, write_list
from pipeline.datasets.prepared import FINDINGS_FILE, RECORD_FILE
from pipeline.datasets.split_files import write_split
from pipeline.datasets.validation import validate
from pipeline.layout import CACHE, DATASET
from pipeline.records import DatasetRecord
from pipeline.storage import fresh_directory

SOURCES: dict[str, MakeSource] = {"digits": digits.make, "trees": trees.make, "coco_dir": coco_dir.make}


def prepare(settings: DataSettings, out_dir: Path = DATASET, cache_dir: Path = CACHE) -> DatasetRecord:
    """Make, validate and write the chosen data set; ``out_dir`` is replaced as a whole or stays as it was.

    ``out_dir`` then holds ``dataset.json`` (the returned record), ``findings.txt`` with all that was found,
    ``<split>.json`` (COCO, category ids 1..K), ``<split>.txt`` (the file names of its images) and, for the embedded
    sets, ``images/<split>/*.png``. Images of a folder of the user's are not copied. Where a data set has no test split,
    val serves as test, with a warning in the record.

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
            splits={name: write_split(name, split, roots[name], scratch) for name, split in checked.items()},
            credits=source.credits,
            findings=grouped(findings),
        )
        if findings:
            write_list(findings, scratch / FINDINGS_FILE)
        record.write(scratch / RECORD_FILE)
    return record


def _recorded_root(image_root: Path, scratch: Path, out_dir: Path) -> str:
    """Return ``image_root`` so that joining it to the data set's folder leads to the images (see ``layout``)."""
    if image_root.is_relative_to(scratch):
        return image_root.relative_to(scratch).as_posix()
    if image_root.is_absolute():
        return str(image_root)
    return Path(os.path.relpath(image_root, out_dir)).as_posix()
