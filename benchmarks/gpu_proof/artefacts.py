"""Part 4: the embedded teacher as ONNX files and engines on the GPU, held against ONNX Runtime on the CPU."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median

import numpy as np

import pipeline  # noqa: F401  (before mmdet is imported)
from benchmarks.gpu_proof.embedded import Embedded
from benchmarks.gpu_proof.place import Check, Mismatch, NotRun, Place, expect
from benchmarks.gpu_proof.record import Numbers
from deploy.engines.engine import build_engines
from deploy.graph.export import check_images, export_model
from deploy.ladder.differences import box_differences
from deploy.ladder.pytorch_rung import detect
from deploy.precision.precisions import make_precisions
from deploy.runtime.backends import BACKENDS
from deploy.runtime.backends.tensorrt import TensorRtBackend
from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.detector import Detector, open_detector
from deploy.runtime.errors import BackendUnavailable
from deploy.runtime.images import Image, read_image
from deploy.timing.gpu_monitor import GpuMonitor
from pipeline.datasets.prepared import find_split
from pipeline.deploy_settings import CalibrationSettings, PrecisionSettings, SearchSettings
from pipeline.evaluation import evaluate_detections
from pipeline.layout import TEACHER, artefact_file

SPLIT = "test"
PRECISIONS = BACKENDS["tensorrt"].precisions or ()
_BATCHES = (1, 8)
_WARMUP, _CALLS = 10, 50
_MATCHED = {"fp32": 0.99, "fp16": 0.95, "int8_symmetric": 0.8}
"""Share of the CPU's boxes of score 0.3 and more that must be found again."""
_SCORE = 0.3
_TRT_SECONDS = 2
_COMPUTE = re.compile(r"GPU Compute Time:.*?median = ([\d.]+) ms")


@dataclass
class Teacher:
    """The artefacts of the embedded teacher and what ONNX Runtime finds with them on the CPU, each made when needed."""

    place: Place

    @cached_property
    def embedded(self) -> Embedded:
        """The data set and the recipe."""
        return Embedded.open(self.place.scratch, self.place.rehearsal)

    @cached_property
    def exported(self) -> Path:
        """The fp32 artefact, compared with PyTorch on the CPU."""
        embedded, target = self.embedded, self.place.scratch / artefact_file(TEACHER)
        target.parent.mkdir(parents=True)
        settings = embedded.params.export.model_copy(update={"check_images": 8})
        self.export = export_model(
            embedded.recipe(TEACHER), embedded.teacher_weights(), embedded.dataset_dir, SPLIT, settings, target
        )
        return target

    @cached_property
    def files(self) -> dict[str, Path]:
        """All artefacts by precision; int8 without a search for layers that need fp32."""
        images = 8 if self.place.rehearsal else 64
        settings = PrecisionSettings(
            calibration=CalibrationSettings(images=images), search=SearchSettings(images=8, max_layers=0)
        )
        made = make_precisions(self.exported, self.embedded.dataset_dir, settings, self.place.scratch)
        files = {artefact.precision: self.place.scratch / artefact.file for artefact in made.artefacts}
        return {"fp32": self.exported, **files}

    @cached_property
    def split(self) -> tuple[Path, Path]:
        """Annotations and folder of the images that are measured on."""
        return find_split(self.embedded.dataset_dir, SPLIT)

    @cached_property
    def reference(self) -> DetectionColumns:
        """What ONNX Runtime finds on the split on the CPU in fp32."""
        with open_detector(self.exported, "onnxruntime") as detector:
            return detect(detector, *self.split)

    @cached_property
    def reference_ap(self) -> float:
        """Its AP."""
        return self.ap(self.reference)

    def ap(self, results: DetectionColumns) -> float:
        """AP of what was found on the split, in points."""
        return evaluate_detections(self.split[0], results, SPLIT).numbers.ap or 0.0


def checks(place: Place) -> Iterator[Check]:
    """The export and the precisions, then every backend with every precision, then TensorRT's own tool."""
    teacher = Teacher(place)
    yield Check("export and CPU reference", lambda numbers: _export(teacher, numbers))
    backend = "onnxruntime" if place.rehearsal else "onnxruntime-cuda"
    for precision in ("fp32", "fp16"):

        def run(numbers: Numbers, precision: str = precision) -> None:
            _onnx_runtime(teacher, backend, precision, numbers)

        yield Check(f"{backend} {precision}", run)
    for precision in PRECISIONS:

        def build(numbers: Numbers, precision: str = precision) -> None:
            _tensorrt(teacher, precision, numbers)

        yield Check(f"TensorRT {precision}: build, run, trtexec", build)


def _export(teacher: Teacher, numbers: Numbers) -> None:
    made = sorted(teacher.files)
    check = teacher.export.check
    told = {"boxes, px": check.max_box_difference_px, "scores": check.max_score_difference}
    numbers |= {"precisions": " ".join(made), "AP test": teacher.reference_ap}
    numbers |= {name: value for name, value in told.items() if value is not None}


def _onnx_runtime(teacher: Teacher, backend: str, precision: str, numbers: Numbers) -> None:
    with _opened(teacher.files[precision], backend) as detector:
        numbers["version"] = detector.backend.version
        _hold(teacher, detector, precision, numbers)


def _tensorrt(teacher: Teacher, precision: str, numbers: Numbers) -> None:
    folder = teacher.place.scratch / f"engines-{precision}"
    graph = teacher.files[precision]
    caches = teacher.place.scratch / "timings"
    (build,) = build_engines(TEACHER, [graph], teacher.embedded.params.engine, folder, caches).engines
    if build.status != "built":
        raise NotRun(build.reason)
    numbers |= {"build, s": build.build_seconds or 0.0, "plan, MiB": (build.file_size or 0) / 2**20}
    engine = folder / f"{graph.stem}.engine"
    with _opened(engine, "tensorrt") as detector:
        numbers["version"] = detector.backend.version
        _hold(teacher, detector, precision, numbers)
        if isinstance(detector.backend, TensorRtBackend):
            numbers["launched as"] = ", ".join(sorted(set(detector.backend.graphs.values())))
        height, width = detector.spec.input_height, detector.spec.input_width
    _trtexec(engine, f"images:1x{height}x{width}x3", numbers)


def _opened(artefact: Path, backend: str) -> Detector:
    try:
        return open_detector(artefact, backend)
    except BackendUnavailable as error:
        raise NotRun(str(error)) from error


def _hold(teacher: Teacher, detector: Detector, precision: str, numbers: Numbers) -> None:
    """Latency first, which is told whatever the boxes are; then AP and boxes against the CPU's.

    Raises:
        Mismatch: too much AP is lost, or too few boxes are found again.
    """
    measure_latency(teacher, detector, numbers)
    results = detect(detector, *teacher.split)
    drop = teacher.reference_ap - teacher.ap(results)
    boxes = box_differences(teacher.reference, results, _SCORE)
    told = {
        "AP test": teacher.reference_ap - drop,
        "AP lost": drop,
        "boxes found again": boxes.matched,
        "their IoU": boxes.mean_iou,
        "their scores, largest difference": boxes.max_score_difference,
    }
    numbers |= {name: value for name, value in told.items() if value is not None}
    expect("AP lost", drop, teacher.embedded.params.gates.map_drop_limit(precision) or 1.0)
    if boxes.matched is None:
        raise Mismatch(f"the CPU finds no box scored {_SCORE} or more, so none can be found again")
    if boxes.matched < _MATCHED[precision]:
        raise Mismatch(f"{boxes.matched:.3f} of the CPU's boxes are found again, {_MATCHED[precision]} are needed")


def measure_latency(teacher: Teacher, detector: Detector, numbers: Numbers) -> None:
    """Medians of a call, and of the device's own part of it: CUDA events under TensorRT, a clock elsewhere."""
    warmup, calls = (1, 2) if teacher.place.rehearsal else (_WARMUP, _CALLS)
    images = [read_image(file) for file in check_images(teacher.embedded.dataset_dir, SPLIT, max(_BATCHES))]
    for batch in _BATCHES:
        given = [images[place % len(images)] for place in range(batch)]
        times, device = [], []
        for _ in range(warmup + calls):
            phases = detector.timed(given)[1]
            times.append(phases.total)
            if phases.device_inference is not None:
                device.append(phases.device_inference)
        numbers[f"batch {batch}: call, ms"] = median(times[warmup:])
        if detector.backend.device == "cuda":
            _watch(detector, given, numbers)
        if device:
            numbers[f"batch {batch}: on the device, ms"] = median(device[warmup:])
            numbers[f"batch {batch}: on the device, p95, ms"] = float(np.percentile(device[warmup:], 95))


def _watch(detector: Detector, images: list[Image], numbers: Numbers) -> None:
    """What NVML says of the GPU while one batch runs again and again."""
    try:
        monitor = GpuMonitor.open()
    except BackendUnavailable as error:
        numbers["NVML"] = str(error)
        return
    with monitor.watch() as watched:
        for _ in range(_CALLS):
            detector.timed(images)
    use = watched.use(images=_CALLS * len(images))
    told = {"memory, MiB": use.memory_bytes / 2**20, "SM clock, MHz": use.sm_clock_mhz, "power, W": use.power_w}
    told["energy an image, J"] = use.energy_per_image_j
    numbers |= {f"batch {len(images)}: {name}": value for name, value in told.items() if value is not None}


def _trtexec(engine: Path, shapes: str, numbers: Numbers) -> None:
    """TensorRT's own tool on the same file, where it is installed; it is no part of the Python packages."""
    tool = shutil.which("trtexec") or shutil.which("tensorrt_rtx")
    if tool is None:
        numbers["trtexec"] = "not installed"
        return
    command = [tool, f"--loadEngine={engine}", f"--shapes={shapes}", f"--duration={_TRT_SECONDS}", "--useCudaGraph"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    if told.returncode or not (found := _COMPUTE.search(told.stdout)):
        lines = (told.stdout + told.stderr).strip().splitlines()
        raise Mismatch(f"{Path(tool).name} cannot read the engine: {' | '.join(lines[-3:])}")
    numbers["trtexec: batch 1, on the device, ms"] = float(found.group(1))
