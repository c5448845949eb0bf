"""The teacher that this project ships, and pictures like those that it was trained on: real digits on a real photo."""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_sample_image

from pipeline.checkpoints import load_detector
from pipeline.dataset_settings import DigitsSettings
from pipeline.datasets.digits import compose, load_digits, split_digits
from pipeline.datasets.photos import Region
from pipeline.recipes import load_resolved, resolve, write_resolved
from pipeline.records import DatasetRecord

SIZE = 256
CLASSES = [str(digit) for digit in range(10)]
_ROOT = Path(__file__).parents[2]
_DATASET = DatasetRecord(name="digits", title="", composed=True, classes=CLASSES, splits={}, credits=[], findings=[])


def load_teacher(folder: Path) -> Any:
    """The embedded teacher as a stock mmdet detector; its resolved recipe is written to ``folder``."""
    resolved = folder / "teacher.json"
    write_resolved(resolved, resolve(_ROOT / "configs/teachers/gfl_mobilenetv2_embedded.py", _DATASET, {}))
    return load_detector(load_resolved(resolved), _ROOT / "configs/teachers/gfl_mobilenetv2_digits/weights.safetensors")


def digit_pictures(count: int) -> np.ndarray:
    """Pictures uint8 ``[count, 256, 256, 3]``, BGR."""
    photo = load_sample_image("china.jpg")[..., ::-1]
    digits = load_digits()
    members = split_digits(digits.labels, "test", seed=0)
    regions = [(Region("china.jpg", 0, 0, photo.shape[1], photo.shape[0]), photo)]
    pictures = [compose(DigitsSettings(), "test", index, digits, members, regions)[0] for index in range(count)]
    return np.stack(pictures)
