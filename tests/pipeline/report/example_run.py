"""A whole run on disk with plausible numbers: images with digits, simulated detections, the evaluator's own records."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from deploy.ladder.choosing import choose
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.measurements import GpuUse, Latency
from deploy.runtime.split import Split
from pipeline.deploy_records import (
    ArtefactFile,
    BackendRun,
    BenchmarkRecord,
    BoxDifferences,
    CalibrationRecord,
    ClassDrop,
    ComparedRung,
    ComparisonRecord,
    EngineBuild,
    EngineRecord,
    ExportCheck,
    ExportRecord,
    KeptLayer,
    LayerSearch,
    PrecisionArtefact,
    PrecisionRecord,
    TurnsGroup,
)
from pipeline.evaluation import evaluate_detections
from pipeline.evaluation.detection_errors import detection_errors
from pipeline.evaluation.inputs import ground_truth_of, read_detections
from pipeline.evaluation.operating_point import operating_point
from pipeline.layout import (
    CHOSEN,
    COMPARISON,
    DATASET,
    DATASET_RECORD,
    DEVICE,
    TEACHER,
    artefact_file,
    origin_file,
    recipe_file,
    report_file,
    training_file,
)
from pipeline.recipe_records import RecipeOrigin
from pipeline.records import (
    AccuracyRecord,
    Complexity,
    DatasetRecord,
    DeviceRecord,
    EvaluationRecord,
    Interval,
    SplitRecord,
)
from pipeline.settings import Params, parse_params
from pipeline.storage import write_atomic
from pipeline.training_records import SeenImages, TrainingPoint, TrainingRecord, ValidationPoint
from tests.deploy.measured import backend_run

CLASSES = tuple("0123456789")
ENGINE_REASON = "no CUDA device"
SLOWER = 1.1
GPU = GpuUse(
    memory_bytes=2_100_000_000, sm_clock_mhz=1980, memory_clock_mhz=None, power_w=350.4, energy_per_image_j=0.052
)
CUDA_REASON = "onnxruntime-cuda: the installed onnxruntime 1.31 has no CUDAExecutionProvider"


@dataclass(frozen=True)
class Model:
    """A model to simulate: ``skill`` (0 to 1) is how often and how exactly it finds a box; milliseconds for a call."""

    name: str
    method: str
    skill: float
    parameters: int
    flops: int
    milliseconds: float


TEACHER_MODEL = Model(TEACHER, "none", 0.90, 3_400_000, 5_460_000_000, 21.4)
TWIN = Model("twin", "none", 0.74, 1_480_000, 1_310_000_000, 6.3)
CROSSKD = Model("crosskd", "crosskd", 0.80, 1_480_000, 1_310_000_000, 6.2)


def example_params(students: Iterable[str] = ("twin", "crosskd"), **changes: Any) -> Params:
    """Settings of the example; ``changes`` replace whole entries of ``params.yaml``."""
    names = list(students)
    content = {
        "data": {"name": "digits"},
        "teacher": {"config": "configs/teachers/gfl.py"},
        "students": {name: {"recipe": f"configs/students/{name}.py"} for name in names},
        "evaluate": {"resamples": 60},
        "export": {"models": [TEACHER, *names]},
        "benchmark": {"backends": ["onnxruntime", "openvino", "onnxruntime-cuda"]},
        "report": {"images": 3},
        "gates": {"student_min_ap": 10.0, "benchmark_max_latency_ms": 50.0},
    }
    return parse_params(content | changes)


def write_run(
    root: Path,
    params: Params,
    models: Sequence[Model] = (TEACHER_MODEL, TWIN, CROSSKD),
    *,
    images: int = 24,
    classes: Sequence[str] = CLASSES,
    split: str = "test",
) -> None:
    """Write every record, detection and image of a run below ``root``; with ``split`` val there is no test split."""
    dataset = _write_dataset(root, images, classes, split)
    dataset.write(root / DATASET_RECORD)
    _device().write(root / DEVICE)
    annotations = root / DATASET / f"{split}.json"
    truth = json.loads(annotations.read_text(encoding="utf-8"))
    for model in models:
        _origin(model).write(root / origin_file(recipe_file(model.name)))
        results = _simulate(model, truth)
        write_atomic(root / report_file("detections", model.name), json.dumps(results))
        accuracy = evaluate_detections(annotations, results, split, params.evaluate)
        _evaluation(model, accuracy).write(root / report_file("evaluation", model.name))
        content = Split.read(annotations)
        found = read_detections(results, ground_truth_of(content))
        point = operating_point("val", content, found, split, content, found)
        point.write(root / report_file("operating_point", model.name))
        errors = detection_errors(split, content, found, point.score)
        errors.write(root / report_file("errors", model.name))
        if model.name != TEACHER:
            _training(model).write(root / training_file(model.name))
        if model.name in params.export.models:
            _export(model, classes, point.score).write(root / report_file("export", model.name))
            _precision(model).write(root / report_file("precision", model.name))
            _engine(model).write(root / report_file("engine", model.name))
            _benchmark(model, accuracy).write(root / report_file("benchmark", model.name))
    comparison = _comparison(models, params)
    comparison.write(root / COMPARISON)
    rungs = [rung for rung in comparison.rungs if rung.model != TEACHER]
    skills = {model.name: 100 * model.skill for model in models}
    chosen = choose(rungs, lambda rung: skills[rung.model] - 20, params.report.max_ap_loss, "val", images)
    chosen.write(root / CHOSEN)


def _write_dataset(root: Path, images: int, classes: Sequence[str], split: str) -> DatasetRecord:
    random = np.random.default_rng(0)
    folder = root / DATASET / "images" / split
    folder.mkdir(parents=True)
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(classes)]
    content: dict[str, list[dict[str, Any]]] = {"images": [], "annotations": [], "categories": categories}
    for image_id in range(1, images + 1):
        picture, boxes = _picture(random, len(classes))
        name = f"{split}_{image_id:04d}.png"
        cv2.imwrite(str(folder / name), picture)
        content["images"].append({"id": image_id, "file_name": name, "width": 256, "height": 256})
        for label, box in boxes:
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": label + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    (root / DATASET / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    return _dataset(content, classes, split)


def _picture(random: np.random.Generator, classes: int) -> tuple[np.ndarray, list[tuple[int, list[int]]]]:
    coarse = random.integers(40, 190, (12, 12, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_CUBIC)
    boxes = []
    for cell in random.permutation(9)[: random.integers(2, 6)]:
        label, side = int(random.integers(classes)), int(random.integers(28, 70))
        x, y = (int(cell % 3) * 85 + int(random.integers(0, 84 - side)), int(cell // 3) * 85 + 5)
        color = tuple(int(value) for value in random.integers(150, 256, 3))
        cv2.putText(
            picture, str(label), (x + 2, y + side - 3), cv2.FONT_HERSHEY_DUPLEX, side / 26, color, 2, cv2.LINE_AA
        )
        boxes.append((label, [x, y, round(side * 0.8), side]))
    return picture, boxes


def _dataset(content: dict[str, list[dict[str, Any]]], classes: Sequence[str], measured: str) -> DatasetRecord:
    per_class = {
        name: sum(item["category_id"] == index + 1 for item in content["annotations"])
        for index, name in enumerate(classes)
    }
    split = SplitRecord(
        annotations=f"{measured}.json",
        image_root=f"images/{measured}",
        sha256="0" * 64,
        images=len(content["images"]),
        boxes=len(content["annotations"]),
        crowd_boxes=0,
        images_without_boxes=0,
        boxes_per_class=per_class,
    )
    other = split.model_copy(update={"sha256": "2" * 64})
    return DatasetRecord(
        name="digits",
        title="Handwritten digits on aerial photographs",
        composed=True,
        classes=list(classes),
        splits={"train": other, "val": split.model_copy(update={"sha256": "1" * 64}), measured: split},
        credits=["Digits: E. Alpaydin, C. Kaynak, UCI, CC BY 4.0", "Photos: NEON through DeepForest, MIT"],
        findings=[],
    )


def _device() -> DeviceRecord:
    return DeviceRecord(
        cpu="Example CPU @ 2.40GHz",
        architecture="x86_64",
        instruction_sets=["avx2", "avx512f", "avx512_bf16", "amx_bf16"],
        cores=2,
        memory_bytes=8_053_063_680,
        gpu=None,
        gpu_memory_bytes=None,
        driver=None,
        operating_system="Debian GNU/Linux 12",
        python="3.11.9",
        libraries={"torch": "2.14.1", "onnxruntime": "1.31.0", "openvino": "2026.4.0", "mmdet": "3.3.0"},
    )


def _simulate(model: Model, truth: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Detections that are found, placed, named and scored better the higher the skill is."""
    # One generator for all models: as with real models, the same boxes are hard for everyone.
    random = np.random.default_rng(7)
    classes, results = len(truth["categories"]), []
    for box in truth["annotations"]:
        chance, jitter, other = random.random(3), random.normal(size=4), int(random.integers(classes)) + 1
        found, named = chance[0] < model.skill + 0.08, chance[1] < model.skill + 0.1
        if found:
            x, y, width, height = np.array(box["bbox"]) + jitter * (1 - model.skill) * 16
            score = float(np.clip(model.skill * (0.55 + 0.5 * chance[2]) - (not named) * 0.25, 0.06, 0.99))
            category = box["category_id"] if named else other
            results.append(_result(box["image_id"], category, [x, y, max(width, 4), max(height, 4)], score))
    for image in truth["images"]:
        x, y, side, score = random.random(4)
        if random.random() > model.skill - 0.1:
            place = [x * 180, y * 180, 30 + side * 40, 30 + side * 40]
            results.append(_result(image["id"], int(random.integers(classes)) + 1, place, 0.1 + 0.5 * score))
    return results


def _result(image: int, category: int, box: Sequence[float], score: float) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": [float(value) for value in box], "score": score}


def _evaluation(model: Model, accuracy: AccuracyRecord) -> EvaluationRecord:
    return EvaluationRecord(
        model=model.name,
        recipe=f"configs/students/{model.name}.py",
        dataset="digits",
        method=model.method,
        weights_sha256=f"{len(model.name):x}a" * 32,
        published_ap=None,
        complexity=Complexity(parameters=model.parameters, flops=model.flops, input_size=(256, 256)),
        accuracy=accuracy,
    )


def _origin(model: Model) -> RecipeOrigin:
    return RecipeOrigin(
        path=f"configs/students/{model.name}.py",
        published={},
        backbone_sources=["https://download.example/mobilenet.pth", "pypi:mirror==1.0/mobilenet.pth"],
        backbone_licence="BSD-3-Clause",
    )


def _training(model: Model) -> TrainingRecord:
    points = []
    for iteration in range(10, 1101, 10):
        fall = float(np.exp(-iteration / 300))
        wave = 0.02 * float(np.sin(iteration))
        losses = {"loss_cls": 0.3 + fall + wave, "loss_bbox": 0.5 + 0.8 * fall + wave, "loss_dfl": 0.2 + 0.2 * fall}
        if model.method == "crosskd":
            losses |= {"loss_cls_kd": 0.2 + 0.6 * fall, "loss_bbox_kd": 0.3 + 0.5 * fall}
        losses["loss"] = sum(losses.values())
        points.append(TrainingPoint(iteration=iteration, learning_rate=1e-3, losses=losses))
    final = 100 * model.skill - 20
    validation = [
        ValidationPoint(iteration=iteration, ap=final * float(1 - np.exp(-iteration / 300)))
        for iteration in range(100, 1101, 100)
    ]
    return TrainingRecord(
        model=model.name,
        method=model.method,
        iterations=1100,
        batch_size=8,
        images=SeenImages(seen=1200, images=1200, left_out={}),
        best_iteration=validation[-1].iteration,
        best_val_ap=validation[-1].ap,
        seconds=402.7,
        images_per_second=21.9,
        peak_memory_bytes=1_904_214_016,
        device="cpu",
        precision="bf16",
        resumed=0,
        points=points,
        validation=validation,
    )


def _export(model: Model, classes: Sequence[str], score: float | None) -> ExportRecord:
    return ExportRecord(
        model=model.name,
        file=artefact_file(model.name).as_posix(),
        sha256=f"{len(model.name):x}b" * 32,
        file_size=4 * model.parameters + 210_000,
        opset=18,
        inputs=[],
        outputs=[],
        metadata=_specification(model, classes, score).to_metadata(),
        check=ExportCheck(
            images=32, detections=131, matched=1.0, max_box_difference_px=3.1e-5, max_score_difference=4.2e-7
        ),
    )


def _specification(model: Model, classes: Sequence[str], score: float | None) -> ArtefactSpec:
    return ArtefactSpec(
        model=model.name,
        classes=tuple(classes),
        input_height=256,
        input_width=256,
        color_order="bgr",
        resize_rule="letterbox",
        pad_value=(104, 116, 124),
        score_threshold=0.05,
        nms_iou_threshold=0.6,
        nms_passes=0,
        max_candidates=1000,
        max_detections=100,
        precision="fp32",
        recipe=f"configs/students/{model.name}.py",
        recipe_sha256="f" * 64,
        weights_sha256=f"{len(model.name):x}a" * 32,
        dataset="digits",
        recommended_score=score,
    )


def _benchmark(model: Model, accuracy: AccuracyRecord) -> BenchmarkRecord:
    return BenchmarkRecord(
        model=model.name,
        images=accuracy.images,
        torch_ap=accuracy.numbers.ap,
        torch_interval=accuracy.bootstrap.interval if accuracy.bootstrap else None,
        artefacts=[
            ArtefactFile(
                precision=precision,
                file=artefact_file(model.name, precision).as_posix(),
                sha256=f"{len(model.name):x}b" * 32,
                file_size=size * model.parameters + 210_000,
            )
            for precision, size in (("fp32", 4), ("int8", 1))
        ],
        runs=[
            _run("fp32", "onnxruntime", "1.31.0", model.milliseconds, accuracy),
            _run("fp32", "openvino", "2026.4.0", 0.7 * model.milliseconds, accuracy),
            backend_run("onnxruntime-cuda", reason=CUDA_REASON),
            _run("int8", "onnxruntime", "1.31.0", 0.9 * model.milliseconds, accuracy),
        ],
    )


def _comparison(models: Sequence[Model], params: Params) -> ComparisonRecord:
    """The machine was slower than in the models' own runs: calls took ``SLOWER`` times as long."""
    shipped = [model for model in models if model.name in params.export.models]
    times = {
        (model.name, artefact, backend): SLOWER * share * model.milliseconds
        for model in shipped
        for artefact, backend, share in (
            ("fp32", "openvino", 0.7),
            ("fp32", "onnxruntime", 1),
            ("int8", "onnxruntime", 0.9),
        )
    }
    reference = next(iter(times.values()), 0.0)
    return ComparisonRecord(
        batch_size=1,
        groups=[TurnsGroup(rounds=15, reference=reference)],
        rungs=[
            ComparedRung(
                model=model,
                artefact=artefact,
                backend=backend,
                precision=artefact,
                group=0,
                calls=8,
                milliseconds=milliseconds,
                times_as_fast=reference / milliseconds,
                low=0.98 * reference / milliseconds,
                high=1.02 * reference / milliseconds,
            )
            for (model, artefact, backend), milliseconds in times.items()
        ],
        absent=[],
    )


def _precision(model: Model) -> PrecisionRecord:
    search = LayerSearch(
        split="val",
        images=100,
        max_map_drop=0.5,
        fp32_ap=60.0,
        quantised_ap=58.7,
        ap=59.6,
        layers=34,
        kept=[KeptLayer(layer="bbox_head.gfl_reg.weight", error=0.02)],
    )
    artefacts = [("fp16", 2, None), ("int8", 1, search)]
    return PrecisionRecord(
        model=model.name,
        parent=artefact_file(model.name).as_posix(),
        parent_sha256=f"{len(model.name):x}b" * 32,
        calibration=CalibrationRecord(split="train", images=128, seed=0, sha256="c" * 64),
        artefacts=[
            PrecisionArtefact(
                precision=precision,
                file=artefact_file(model.name, precision).as_posix(),
                sha256="d" * 64,
                file_size=size * model.parameters + 210_000,
                search=found,
            )
            for precision, size, found in artefacts
        ],
    )


def _engine(model: Model) -> EngineRecord:
    return EngineRecord(
        model=model.name,
        target=None,
        nms_passes=16,
        profiles=[(1, 1, 1), (1, 8, 32)],
        engines=[
            EngineBuild(
                graph=artefact_file(model.name, precision).as_posix(),
                graph_sha256="e" * 64,
                precision=precision,
                status="not built",
                reason=ENGINE_REASON,
                file=None,
                sha256=None,
                file_size=None,
                build_seconds=None,
            )
            for precision in ("fp32", "fp16")
        ],
    )


def _without_draws(accuracy: AccuracyRecord) -> AccuracyRecord:
    bootstrap = accuracy.bootstrap and accuracy.bootstrap.model_copy(update={"ap": [], "jackknife": []})
    return accuracy.model_copy(update={"bootstrap": bootstrap})


def _run(artefact: str, backend: str, version: str, milliseconds: float, accuracy: AccuracyRecord) -> BackendRun:
    is_exact = artefact == "fp32"
    return BackendRun(
        artefact=artefact,
        backend=backend,
        version=version,
        device="cpu",
        precision=artefact,
        status="ok",
        reason="",
        threads=2,
        cores=[0, 1],
        accuracy=_without_draws(accuracy),
        map_drop=0.003 if is_exact else 0.42,
        map_drop_interval=Interval(low=-0.01, high=0.02, confidence=0.95) if is_exact else None,
        worst_class=ClassDrop(name="7", drop=0.01 if is_exact else 1.9),
        boxes=BoxDifferences(
            score=0.3,
            detections=90,
            matched=1.0 if is_exact else 0.978,
            mean_iou=0.99,
            mean_score_difference=0.012,
            max_score_difference=0.2,
        ),
        latency=[_latency(1, milliseconds), _latency(8, 6.6 * milliseconds)],
        sweep_end="complete",
        sweep_reason="",
        gpu_unseen="",
        load_ms=112.4,
        peak_memory_bytes=311_000_000,
    )


def _latency(batch_size: int, milliseconds: float) -> Latency:
    return Latency(
        batch_size=batch_size,
        warmup_calls=10,
        calls=100,
        p50=milliseconds,
        p90=1.12 * milliseconds,
        p95=1.2 * milliseconds,
        p99=1.41 * milliseconds,
        p90_bound=None,
        p99_bound=None,
        mean=1.04 * milliseconds,
        spread=0.05,
        noisy=False,
        decoding=0.5 * batch_size,
        preprocessing=0.06 * milliseconds,
        host_to_device=0.0,
        inference=0.92 * milliseconds,
        device_to_host=0.0,
        postprocessing=0.06 * milliseconds,
        images_per_second=1000 * batch_size / (1.04 * milliseconds),
        gpu=None,
    )
