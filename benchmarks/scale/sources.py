"""What a run in which nothing changed looks at of a folder of the user's own: names, sizes and times, and the json."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.scale.synthetic import images_of
from pipeline.dataset_settings import DataSettings
from pipeline.datasets.source_files import find_source_files

_BYTES_PER_IMAGE = 4100
"""Of train2017's annotations."""


def prepare(images: int) -> Callable[[], object]:
    """Write a folder of so many small files, and an annotation file of their size."""
    root = Path(tempfile.mkdtemp())
    (root / "train").mkdir()
    for entry in images_of(images):
        (root / "train" / entry["file_name"]).write_bytes(b"0")
    with (root / "train.json").open("wb") as annotations:
        for _ in range(images):
            annotations.write(b"7" * _BYTES_PER_IMAGE)
    split = {"annotations": "train.json", "images": "train"}
    settings = DataSettings.model_validate(
        {"name": "coco_dir", "coco_dir": {"root": str(root), "train": split, "val": split}}
    )
    return lambda: find_source_files(settings)
