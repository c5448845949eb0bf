"""Data sets: each is one function that delivers COCO json and images; all are validated and written the same way."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipeline.dataset_settings import EMBEDDED, DataSettings
from pipeline.datasets import coco_dir, digits, trees, voc_dir, yolo_dir
from pipeline.datasets.coco import MakeSource, SourceSplit
from pipeline.datasets.findings import Finding, Findings, grouped, raise_errors, write_list
from pipeline.datasets.made_splits import make_splits
from pipeline.datasets.prepared import FINDINGS_FILE, RECORD_FILE, TEST, UNLABELLED, VAL, recorded_root
from pipeline.datasets.split_files import write_split
from pipeline.datasets.unlabelled import find_heaps, take_unlabelled
from pipeline.datasets.validation import CheckedSplit, validate
from pipeline.errors import DatasetError
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
    split, val and test are taken from train (``data.*.splits``); where it has val and no test, there is no test split,
    or val is it and a part of train is val (``data.choose_on``). Each with a warning in the record. Where there are
    pictures without boxes, ``unlabelled.json`` and ``unlabelled.txt`` list them as a split's.

    Raises:
        DatasetError: the data set is unusable; every finding is listed in ``<out_dir>_findings.txt`` beside it. Or a
            part of train is to choose, and the data set has val and test.
        DownloadError: the photos of an embedded set cannot be fetched.
    """
    with fresh_directory(out_dir) as scratch:
        source = SOURCES[settings.name](settings, cache_dir, scratch)
        list_file = out_dir.with_name(f"{out_dir.name}_findings.txt")
        _refuse_idle_choice(settings, source.splits)
        heaps, found_heaps = find_heaps(settings, source.unlabelled, out_dir)
        checked, found = validate(source.splits, _compared(settings, source.splits, bool(heaps)))
        findings = [*source.findings, *found_heaps, *found]
        raise_errors(findings, list_file)
        checked, places, made, found = _splits(settings, source.splits, checked)
        findings += found
        raise_errors(findings, list_file)
        recorded = partial(recorded_root, scratch=scratch, dataset_dir=out_dir)
        checked, unlabelled, found = take_unlabelled(settings, checked, places, heaps, recorded)
        findings += found
        raise_errors(findings, list_file)
        roots = {name: recorded(split.image_root) for name, split in places.items()}
        record = DatasetRecord(
            name=settings.name,
            title=source.title,
            composed=source.composed,
            classes=[category["name"] for category in checked["train"].content["categories"]],
            splits={name: write_split(name, split, roots[name], scratch) for name, split in checked.items()},
            credits=source.credits,
            made_splits=made,
            unlabelled=write_split(UNLABELLED, unlabelled, ".", scratch) if unlabelled else None,
            findings=grouped(findings),
        )
        if findings:
            write_list(findings, scratch / FINDINGS_FILE)
        record.write(scratch / RECORD_FILE)
    return record


def _refuse_idle_choice(settings: DataSettings, sources: Mapping[str, SourceSplit]) -> None:
    if settings.choose_on == "train" and {VAL, TEST} <= {*sources}:
        raise DatasetError(
            "data.choose_on is 'train' in params.yaml, and the data set has a val and a test split: val chooses there "
            "and test is measured; set data.choose_on to val"
        )


def _compared(settings: DataSettings, sources: Mapping[str, SourceSplit], with_heaps: bool) -> set[str]:
    """The splits whose images are compared by their looks, unless the user says that looks do not count."""
    if settings.name not in EMBEDDED and settings.of_folder().splits.near_duplicates == "apart":
        return set()
    divided = {"train"} if VAL not in sources or settings.choose_on == "train" else set()
    return divided | ({*sources} - {"train"} if with_heaps else set())


def _splits(
    settings: DataSettings, sources: Mapping[str, SourceSplit], checked: Mapping[str, CheckedSplit]
) -> tuple[dict[str, CheckedSplit], dict[str, SourceSplit], MadeSplits | None, list[Finding]]:
    """The splits as they are used, and the source that the images of each are from."""
    own_val_is_test = settings.choose_on == "train" and VAL in checked
    if own_val_is_test:
        names = {VAL: TEST}
        sources = {names.get(name, name): split for name, split in sources.items()}
        checked = {names.get(name, name): split for name, split in checked.items()}
    train, made = sources["train"], None
    notes = Findings(train.annotations, train.named)
    if VAL not in checked:
        shares = settings.of_folder().splits
        parts, made = make_splits(checked["train"], train, shares, TEST not in checked, notes, own_val_is_test)
        checked = {**checked, **parts}
    if TEST not in checked:
        own = Findings(sources.get(VAL, train).annotations)
        own.warning("whole file", "there is no test split: val, which also chooses, is measured, and that flatters")
        notes.found += own.found
    ordered = {name: checked[name] for name in ("train", VAL, TEST) if name in checked} | dict(checked)
    return ordered, {name: sources.get(name, train) for name in ordered}, made, notes.found
