"""`coco_dir` from the annotation file to the prepared split, with polygons as long as COCO's; no image is read."""

import tempfile
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from unittest.mock import patch

from benchmarks.scale.synthetic import SIDE, write_annotations
from pipeline.dataset_settings import CocoDirSettings, CocoSplitSettings, DataSettings
from pipeline.datasets.image_files import ImageFile
from pipeline.datasets.preparation import prepare as prepare_dataset

_FEW = 100


def prepare(images: int) -> Callable[[], object]:
    """Write a train split of so many images and a small val split."""
    folder = Path(tempfile.mkdtemp())
    for name, count in (("train", images), ("val", _FEW)):
        (folder / name).mkdir()
        write_annotations(folder / f"{name}.json", count)
    train, val = (CocoSplitSettings(annotations=f"{name}.json", images=name) for name in ("train", "val"))
    settings = DataSettings(name="coco_dir", coco_dir=CocoDirSettings(root=folder, train=train, val=val))
    return lambda: _prepared(settings, folder)


def _prepared(settings: DataSettings, folder: Path) -> object:
    with patch("pipeline.datasets.validation.inspect", _believed):
        return prepare_dataset(settings, folder / "prepared", folder / "cache")


def _believed(paths: Sequence[Path], label: str) -> list[ImageFile | str]:
    return [ImageFile(sha256(str(path).encode()).hexdigest(), SIDE, SIDE, 1) for path in paths]
