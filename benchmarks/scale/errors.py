"""Kinds and costs of a detector's errors by TIDE's definitions, and what is confused with what."""

from collections.abc import Callable

import numpy as np

from benchmarks.scale.bookkeeping import by_image
from benchmarks.scale.synthetic import CLASSES, boxes_on, categories, detections_on, images_of
from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.split import Split
from pipeline.evaluation.detection_errors import detection_errors

_SCORE = 0.3


def prepare(images: int) -> Callable[[], object]:
    """Make a split of so many images and 100 detections on each."""
    random = np.random.default_rng(0)
    boxes = boxes_on(images, random)
    results = detections_on(images, boxes, random)
    split = Split(images_of(images), categories(), boxes)
    found = DetectionColumns.joined(by_image(results), range(1, CLASSES + 1))
    return lambda: detection_errors("val", split, found, _SCORE)
