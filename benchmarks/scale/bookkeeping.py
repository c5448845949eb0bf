"""A rung besides its inference: from the detections of each image to its record, with an interval from 1,000 draws."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.scale.synthetic import CLASSES, Entries, boxes_on, categories, detections_on, images_of
from deploy.ladder.benchmark import Reference, measure_rung
from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.detections import Detections
from deploy.runtime.split import Split
from deploy.timing.worker import Outcome
from pipeline.evaluation import evaluate_detections
from pipeline.records import AccuracyRecord, Complexity, EvaluationRecord
from pipeline.settings import EvaluateSettings

_IDS = range(1, CLASSES + 1)
_SCORE = 0.3


def prepare(images: int) -> Callable[[], object]:
    """Make a split of so many images, detections on it, and PyTorch's evaluation of the same detections."""
    random = np.random.default_rng(0)
    boxes = boxes_on(images, random)
    found = by_image(detections_on(images, boxes, random))
    split = Split(images_of(images), categories(), boxes)
    detections = DetectionColumns.joined(found, _IDS)
    accuracy = evaluate_detections(split, detections, "val", EvaluateSettings())
    reference = Reference(_evaluation(accuracy), detections)
    folder = Path(tempfile.mkdtemp())

    def run() -> None:
        """What the worker's process does with its detections, and then this one."""
        Outcome(version="1", detections=DetectionColumns.joined(found, _IDS)).write(folder / "outcome.json")
        outcome = Outcome.read(folder / "outcome.json")
        rung = measure_rung("fp32", "onnxruntime", outcome, split, reference, _SCORE)
        (folder / "record.json").write_text(rung.model_dump_json())

    return run


def _evaluation(accuracy: AccuracyRecord) -> EvaluationRecord:
    return EvaluationRecord(
        model="student",
        recipe="none",
        dataset="synthetic",
        method="none",
        weights_sha256="0" * 64,
        published_ap=None,
        complexity=Complexity(parameters=1, flops=1, input_size=(1, 1)),
        accuracy=accuracy,
    )


def by_image(results: Entries) -> list[tuple[int, Detections]]:
    """As a detector gives them; the results of an image stand together."""
    images = np.array([item["image_id"] for item in results])
    boxes = np.array([item["bbox"] for item in results], np.float32)
    boxes[:, 2:] += boxes[:, :2]
    scores = np.array([item["score"] for item in results], np.float32)
    labels = np.array([item["category_id"] for item in results]) - 1
    names = tuple(map(str, _IDS))
    parts = np.split(np.arange(len(results)), np.flatnonzero(np.diff(images)) + 1)
    return [(int(images[part[0]]), Detections(boxes[part], scores[part], labels[part], names)) for part in parts]
