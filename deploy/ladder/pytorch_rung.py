"""Accuracy of a PyTorch model through the run-time pipeline of the artefacts: the first rung of the ladder."""

import json
import logging
from pathlib import Path
from typing import NamedTuple

import torch

from deploy.graph.pytorch_backend import pytorch_detector
from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.detections import category_ids
from deploy.runtime.detector import Detector
from deploy.runtime.printable import in_one_line
from deploy.runtime.split import Split
from deploy.runtime.split_detections import detect_split
from pipeline.checkpoints import load_detector
from pipeline.complexity import measure_complexity
from pipeline.compute import choose_device, use_own_cores
from pipeline.datasets.prepared import VAL, find_split, measured_split, read_dataset
from pipeline.evaluation.accuracy import evaluate_detections
from pipeline.evaluation.detection_errors import detection_errors
from pipeline.evaluation.operating_point import operating_point
from pipeline.gates import refuse
from pipeline.layout import TEACHER
from pipeline.recipes import COCO_CLASSES, Recipe
from pipeline.records import EvaluationRecord
from pipeline.settings import Gates, Params
from pipeline.storage import sha256_of, write_atomic

logger = logging.getLogger(__name__)

PUBLISHED_TOLERANCE = 0.5


class ScoreFiles(NamedTuple):
    """Where the ``OperatingPoint`` goes, and the ``DetectionErrors`` with what is confused from its score on."""

    point: Path
    errors: Path


def evaluate_model(
    recipe: Recipe, weights: Path, dataset_dir: Path, params: Params, detections: Path, scores: ScoreFiles | None = None
) -> EvaluationRecord:
    """Run a trained detector on a split in fp32, write its detections and measure their accuracy.

    Resizing, thresholds, decoding and NMS are those of the exported artefact (``export`` of the parameters), so that
    a later difference is the artefact's own. A detector of which no artefact can be made goes through mmdet's own
    decoding and NMS in their place, between the same resizing and the same evaluation.

    Args:
        recipe: the resolved recipe; its name is the model's.
        weights: the trained weights.
        dataset_dir: a prepared data set.
        params: the sections ``evaluate``, ``export`` and ``train.device`` are used, and for the teacher ``teacher``.
        detections: file for the COCO results, in the order of the split's images and best score first.
        scores: files for what depends on a score; the detector is run on val for them, where that is another split.

    Raises:
        DatasetError: the data set has no split ``evaluate.split``, nor val where that is ``test``.
        CheckpointError: the weights do not fit the recipe.
        ArtefactError: the recipe's classes are not the data set's.
        ImageError: an image cannot be read.
    """
    dataset = read_dataset(dataset_dir)
    split = measured_split(dataset, params.evaluate.split)
    annotations, image_root = find_split(dataset_dir, split)
    use_own_cores()
    stock = load_detector(recipe, weights).to(choose_device(params.train.device))
    size = params.evaluate.batch_size
    detector = pytorch_detector(recipe, stock, sha256_of(weights), dataset.name, params.export, size)
    spec = detector.spec
    results = detect(detector, annotations, image_root)
    write_atomic(detections, json.dumps(results.results(), separators=(",", ":")) + "\n")
    record = EvaluationRecord(
        model=recipe.name,
        recipe=spec.recipe,
        dataset=dataset.name,
        method=recipe.method,
        weights_sha256=spec.weights_sha256,
        published_ap=published_ap(recipe, params),
        complexity=measure_complexity(stock, recipe.input_size),
        accuracy=evaluate_detections(annotations, results, split, params.evaluate),
    )
    _report(record)
    if scores is not None:
        _write_scores(scores, detector, dataset_dir, split, results)
    return record


def _write_scores(
    files: ScoreFiles, detector: Detector, dataset_dir: Path, split: str, results: DetectionColumns
) -> None:
    (annotations, _), (val_annotations, val_root) = (find_split(dataset_dir, name) for name in (split, VAL))
    on_val = results if split == VAL else detect(detector, val_annotations, val_root)
    evaluated = Split.read(annotations)
    point = operating_point(VAL, Split.read(val_annotations), on_val, split, evaluated, results)
    point.write(files.point)
    detection_errors(split, evaluated, results, point.score).write(files.errors)


def detect(detector: Detector, annotations: Path, image_root: Path) -> DetectionColumns:
    """What is found on every image of an annotation file, in its order, with a progress bar; fp32 without TF32."""
    split = Split.read(annotations)
    ids = category_ids(detector.spec.classes, split.categories, detector.spec.model)
    title = in_one_line(f"evaluate {detector.spec.model}")
    # TF32 would make fp32 on GPUs another precision than fp32 on CPUs.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        return detect_split(detector, split, image_root, ids, title, detector.batch_size)


def check_gates(record: EvaluationRecord, gates: Gates) -> None:
    """Hold a model's AP against the smallest one of ``params.yaml``.

    Raises:
        GateError: the AP is below it, or there is none to compare.
    """
    name = "teacher_min_ap" if record.model == TEACHER else "student_min_ap"
    limit: float | None = getattr(gates, name)
    ap = record.accuracy.numbers.ap
    broken = []
    if limit is not None and (ap is None or ap < limit):
        measured = "has no AP (no box to find)" if ap is None else f"has AP {ap:.2f}"
        where, cure = (
            f"{record.dataset} {record.accuracy.split}",
            "train longer, choose another recipe, or change the gate",
        )
        broken.append(f"{record.model} {measured} on {where}; gates.{name} in params.yaml asks for {limit:g}: {cure}")
    refuse(f"{record.model} breaks the gates of params.yaml", broken)


def published_ap(recipe: Recipe, params: Params) -> float | None:
    """The AP that was published for the weights of the fetched teacher, or for what the recipe trains.

    A recipe's numbers are those of COCO's val2017: they are no measure for a data set of other classes.
    """
    if recipe.name == TEACHER and params.teacher.source != "train" and params.data.name in params.teacher.published_ap:
        return params.teacher.published_ap[params.data.name]
    if tuple(recipe.classes) != COCO_CLASSES:
        return None
    role = "distilled" if recipe.method != "none" else "student"
    return recipe.published.get(TEACHER if recipe.name == TEACHER else role)


def _report(record: EvaluationRecord) -> None:
    numbers, size, bootstrap = record.accuracy.numbers, record.complexity, record.accuracy.bootstrap
    ap, ap50 = ("none" if value is None else f"{value:.2f}" for value in (numbers.ap, numbers.ap50))
    interval = f" [{bootstrap.interval.low:.2f}, {bootstrap.interval.high:.2f}]" if bootstrap else ""
    logger.info(
        "%s: AP %s%s, AP50 %s on %s %s; %.2f M parameters, %s GFLOPs",
        *(record.model, ap, interval, ap50, record.dataset, record.accuracy.split),
        *(size.parameters / 1e6, "unknown" if size.flops is None else f"{size.flops / 1e9:.2f}"),
    )
    if record.published_ap is None or numbers.ap is None:
        return
    difference = numbers.ap - record.published_ap
    if abs(difference) > PUBLISHED_TOLERANCE:
        logger.warning(
            "%s: its AP is %+.2f points off the published %.2f; is the published one of the %s split, "
            "and are weights, classes and input size those that it was published with?",
            *(record.model, difference, record.published_ap, record.accuracy.split),
        )
