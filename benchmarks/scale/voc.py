"""`voc_dir` from an XML file an image to the prepared split; no image is read."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.scale.labels import SPLITS, voc_text, write_labels
from benchmarks.scale.prepared import prepared
from pipeline.dataset_settings import DataSettings, VocDirSettings, VocSplitSettings


def prepare(images: int) -> Callable[[], object]:
    """Write a train split of so many images and a small val split."""
    folder = Path(tempfile.mkdtemp())
    folders = {split: (f"{split}/images", f"{split}/annotations") for split in SPLITS}
    write_labels(folder, images, folders, ".xml", voc_text)
    train, val = (VocSplitSettings(images=images, annotations=labels) for images, labels in folders.values())
    settings = DataSettings(name="voc_dir", voc_dir=VocDirSettings(root=folder, train=train, val=val))
    return lambda: prepared(settings, folder)
