"""`coco_dir` from the annotation file to the prepared split, with polygons as long as COCO's; no image is read."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.scale.prepared import prepared
from benchmarks.scale.synthetic import write_annotations
from pipeline.dataset_settings import CocoDirSettings, CocoSplitSettings, DataSettings

_FEW = 100


def prepare(images: int) -> Callable[[], object]:
    """Write a train split of so many images and a small val split."""
    folder = Path(tempfile.mkdtemp())
    for name, count in (("train", images), ("val", _FEW)):
        (folder / name).mkdir()
        write_annotations(folder / f"{name}.json", count)
    train, val = (CocoSplitSettings(annotations=f"{name}.json", images=name) for name in ("train", "val"))
    settings = DataSettings(name="coco_dir", coco_dir=CocoDirSettings(root=folder, train=train, val=val))
    return lambda: prepared(settings, folder)
