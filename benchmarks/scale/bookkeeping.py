"""A rung besides its inference: matching, the 12 numbers, and the interval from 1,000 draws."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.scale.synthetic import boxes_on, categories, detections_on, images_of
from pipeline.evaluation import evaluate_detections
from pipeline.settings import EvaluateSettings


def prepare(images: int) -> Callable[[], object]:
    """Write a split of so many images and make detections on it."""
    random = np.random.default_rng(0)
    boxes = boxes_on(images, random)
    found = detections_on(images, boxes, random)
    path = Path(tempfile.mkdtemp()) / "val.json"
    path.write_text(json.dumps({"images": images_of(images), "categories": categories(), "annotations": boxes}))
    return lambda: evaluate_detections(path, found, "val", EvaluateSettings())
