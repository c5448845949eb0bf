"""A finished run of five models on nine rungs, made up: what a report is made from.

It is the example that the report's tests write, of another size.
"""

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.scale.synthetic import boxes_on, categories, detections_on, images_of
from deploy.runtime.measurements import Latency
from pipeline.deploy_records import ArtefactFile, BackendRun, BenchmarkRecord, PrecisionRecord
from pipeline.layout import DATASET, DATASET_RECORD, TEACHER, report_file, training_file
from pipeline.records import DatasetRecord, EvaluationRecord
from pipeline.settings import Params
from pipeline.storage import write_atomic
from pipeline.training_records import TrainingPoint, TrainingRecord, ValidationPoint
from tests.pipeline.report.example_run import Model, example_params, write_run

STUDENTS = ("twin", "crosskd", "crosskd_pkd", "cskd")
RUNGS = (
    ("fp32", "onnxruntime", "fp32", 1.0),
    ("fp32", "openvino", "fp32", 0.7),
    ("fp32", "openvino-bf16", "bf16", 0.4),
    ("fp16", "onnxruntime", "fp16", 1.3),
    ("fp16", "openvino", "fp16", 0.72),
    ("int8", "onnxruntime", "int8", 0.8),
    ("int8", "openvino", "int8", 0.5),
    ("int8_symmetric", "onnxruntime", "int8_symmetric", 0.85),
    ("int8_symmetric", "openvino", "int8_symmetric", 0.45),
)
"""File, backend, precision, and its time as a share of the model's."""
_BATCHES = (1, 2, 4, 8, 16, 32)
_PHOTOS = 16


def parameters() -> Params:
    """Settings of the run."""
    benchmark = {"backends": ["onnxruntime", "openvino", "openvino-bf16"], "batch_sizes": list(_BATCHES)}
    return example_params(STUDENTS, evaluate={"resamples": 1000}, report={"images": 6}, benchmark=benchmark)


def write_finished_run(root: Path, images: int, log_lines: int, evaluated: int = 240) -> None:
    """Write a run of :func:`parameters` whose test split has so many images, 80 classes and 100 detections an image.

    The accuracies are those of ``evaluated`` images, simulated; the detections that the gallery is chosen by are of
    all.
    """
    write_run(root, parameters(), models(), images=evaluated, classes=[f"class {number}" for number in range(1, 81)])
    random = np.random.default_rng(0)
    boxes = boxes_on(images, random)
    content = {"images": images_of(images), "categories": categories(), "annotations": boxes}
    (root / DATASET / "test.json").write_text(json.dumps(content))
    _write_photos(root / DATASET / "images" / "test", images, random)
    _enlarge(root, images, len(boxes))
    for name in (TEACHER, *STUDENTS):
        write_atomic(root / report_file("detections", name), json.dumps(detections_on(images, boxes, random)))
    deepen(root, log_lines)


def models() -> tuple[Model, ...]:
    """A teacher and students of one size, each a little better than the one before."""
    students = [
        Model(name, "none" if name == "twin" else "crosskd", skill, 1_480_000, 1_310_000_000, milliseconds)
        for name, skill, milliseconds in zip(STUDENTS, (0.74, 0.80, 0.81, 0.79), (6.3, 6.2, 6.25, 6.35), strict=True)
    ]
    return (Model(TEACHER, "none", 0.90, 3_400_000, 5_460_000_000, 21.4), *students)


def deepen(root: Path, log_lines: int) -> None:
    """Give every model nine rungs and six batch sizes, and every training so many lines of its log."""
    for number, name in enumerate((TEACHER, *STUDENTS)):
        file = root / report_file("benchmark", name)
        record = BenchmarkRecord.read(file)
        artefacts = [_artefact(record, precision) for precision in dict.fromkeys(rung[0] for rung in RUNGS)]
        runs = [_rung(record.runs[0], *rung) for rung in RUNGS]
        record.model_copy(update={"artefacts": artefacts, "runs": runs}).write(file)
        _precise(root / report_file("precision", name))
        if name != TEACHER:
            file = root / training_file(name)
            _long(TrainingRecord.read(file), log_lines, number).write(file)


def _precise(file: Path) -> None:
    """Say that every precision was made."""
    record = PrecisionRecord.read(file)
    made = [
        record.artefacts[0].model_copy(update={"precision": precision, "file": f"{record.model}.{precision}.onnx"})
        for precision in dict.fromkeys(rung[0] for rung in RUNGS)
        if precision != "fp32"
    ]
    record.model_copy(update={"artefacts": made}).write(file)


def _artefact(record: BenchmarkRecord, precision: str) -> ArtefactFile:
    return record.artefacts[0].model_copy(update={"precision": precision})


def _rung(run: BackendRun, artefact: str, backend: str, precision: str, share: float) -> BackendRun:
    first = run.latency[0]
    latency = [_at(first, size, share * (0.2 + 0.8 * size)) for size in _BATCHES]
    changes = {"artefact": artefact, "backend": backend, "precision": precision, "latency": latency}
    return run.model_copy(update=changes)


def _at(first: Latency, size: int, times: float) -> Latency:
    timed = ("p50", "p90", "p95", "p99", "mean", "preprocessing", "inference", "postprocessing")
    changes = {name: times * getattr(first, name) for name in timed}
    rate = first.images_per_second * size / times
    return replace(first, batch_size=size, images_per_second=rate, decoding=size * first.decoding, **changes)


def _long(record: TrainingRecord, log_lines: int, seed: int) -> TrainingRecord:
    """As many lines as asked for, of what the terms were and noise; a validation every twelfth of the training."""
    random, last = np.random.default_rng(seed), record.points[-1].iteration
    before = np.array([point.iteration for point in record.points])
    iterations = np.linspace(before[0], last, log_lines)
    curves = {
        term: np.interp(iterations, before, [point.losses[term] for point in record.points])
        * random.lognormal(0.0, 0.12, log_lines)
        for term in record.points[0].losses
    }
    step = max(1, 90_000 // log_lines)
    points = [
        TrainingPoint(
            iteration=step * (place + 1),
            learning_rate=1e-3,
            losses={term: float(curve[place]) for term, curve in curves.items()},
        )
        for place in range(log_lines)
    ]
    every, best = step * log_lines // 12, record.best_val_ap or 0.0
    validation = [
        ValidationPoint(iteration=every * turn, ap=best * (1 - 2.0**-turn) - float(random.random()))
        for turn in range(1, 13)
    ]
    changes = {"points": points, "validation": validation, "iterations": step * log_lines, "best_iteration": every * 12}
    return record.model_copy(update=changes)


def _write_photos(folder: Path, images: int, random: np.random.Generator) -> None:
    """Few pictures under many names: the report opens six."""
    made = []
    for image in images_of(_PHOTOS):
        size = (image["width"], image["height"])
        coarse = random.integers(20, 235, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8)
        made.append(folder / image["file_name"])
        cv2.imwrite(str(made[-1]), cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC))
    for image in images_of(images)[_PHOTOS:]:
        os.link(made[(image["id"] - 1) % _PHOTOS], folder / image["file_name"])


def _enlarge(root: Path, images: int, boxes: int) -> None:
    """Say of every record that it is of so many images."""
    dataset = DatasetRecord.read(root / DATASET_RECORD)
    split = dataset.splits["test"].model_copy(update={"images": images, "boxes": boxes})
    dataset.model_copy(update={"splits": {**dataset.splits, "test": split}}).write(root / DATASET_RECORD)
    for name in (TEACHER, *STUDENTS):
        file = root / report_file("evaluation", name)
        record = EvaluationRecord.read(file)
        accuracy = record.accuracy.model_copy(update={"images": images, "boxes": boxes})
        record.model_copy(update={"accuracy": accuracy}).write(file)
