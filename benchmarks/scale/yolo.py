"""`yolo_dir` from a text file an image to the prepared split; no image is read."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml

from benchmarks.scale.labels import NAMES, SPLITS, write_labels, yolo_text
from benchmarks.scale.prepared import prepared
from pipeline.dataset_settings import DataSettings, YoloDirSettings


def prepare(images: int) -> Callable[[], object]:
    """Write a train split of so many images and a small val split."""
    folder = Path(tempfile.mkdtemp())
    folders = {split: (f"images/{split}", f"labels/{split}") for split in SPLITS}
    write_labels(folder, images, folders, ".txt", yolo_text)
    places = {split: f"images/{split}" for split in SPLITS}
    (folder / "data.yaml").write_text(yaml.safe_dump({"names": NAMES, **places}))
    settings = DataSettings(name="yolo_dir", yolo_dir=YoloDirSettings(root=folder))
    return lambda: prepared(settings, folder)
