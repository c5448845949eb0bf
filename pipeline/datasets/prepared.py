"""Where the files of a prepared data set are."""

import os
from pathlib import Path

from deploy.runtime.text_files import UnreadableText, read_text
from pipeline.errors import DatasetError
from pipeline.records import DatasetRecord, SplitRecord

VAL, TEST = "val", "test"
UNLABELLED = "unlabelled"
"""What the files of the pictures without boxes are called; they are no split."""
RECORD_FILE = "dataset.json"
FINDINGS_FILE = "findings.txt"
"""All findings of a prepared data set, one a line; there is none where nothing was found."""


def read_dataset(dataset_dir: Path) -> DatasetRecord:
    """Read ``dataset.json`` of a prepared data set; raises :class:`PipelineError` when it is missing or foreign."""
    return DatasetRecord.read(dataset_dir / RECORD_FILE)


def split_paths(dataset_dir: Path, split: SplitRecord) -> tuple[Path, Path]:
    """Return the COCO json of a split and the folder that its ``file_name`` entries are relative to.

    The one rule: both entries of the record are joined to ``dataset_dir``. Embedded sets record ``images/<split>``,
    a folder of the user's inside the project is recorded by the way that leads there (``../../datasets/...``),
    and an absolute path stays itself when it is joined.
    """
    return dataset_dir / split.annotations, Path(os.path.normpath(dataset_dir / split.image_root))


def recorded_root(image_root: Path, scratch: Path, dataset_dir: Path) -> str:
    """What a record says of a folder of images, for :func:`split_paths`; ``scratch`` becomes ``dataset_dir``."""
    if image_root.is_relative_to(scratch):
        return image_root.relative_to(scratch).as_posix()
    if image_root.is_absolute():
        return str(image_root)
    return Path(os.path.relpath(image_root, dataset_dir)).as_posix()


def find_split(dataset_dir: Path, name: str) -> tuple[Path, Path]:
    """The paths of :func:`split_paths` for a split by its name.

    Raises:
        DatasetError: the prepared data set has no such split.
    """
    splits = read_dataset(dataset_dir).splits
    if name not in splits:
        raise DatasetError(
            f"{dataset_dir} has no split {name!r}, it has {sorted(splits)}; change `evaluate.split` in params.yaml"
        )
    return split_paths(dataset_dir, splits[name])


def measured_split(dataset: DatasetRecord, wanted: str) -> str:
    """The name of the split that ``evaluate.split`` comes to: where the data set has no test split, val is measured."""
    return VAL if wanted == TEST and TEST not in dataset.splits and VAL in dataset.splits else wanted


def names_file(annotations: Path) -> Path:
    """Where the ``file_name`` of each image of a split stands, one a line in the order of its json, ``annotations``."""
    return annotations.with_suffix(".txt")


def read_names(annotations: Path) -> list[str]:
    """Read :func:`names_file`, for whoever needs no boxes: a hundredth of the json.

    Raises:
        DatasetError: it is missing or none that the data stage wrote.
    """
    path = names_file(annotations)
    try:
        *names, rest = read_text(path).split("\n")
    except UnreadableText as error:
        raise DatasetError(f"{path}: {error}; run `dvc repro data`") from error
    if rest or "" in names:
        raise DatasetError(f"{path}: no list of file names, one a line; run `dvc repro data`")
    return names
