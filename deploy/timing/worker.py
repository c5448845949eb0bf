"""Measure one artefact under one backend, in a process of its own: ``python -m deploy.timing.worker JOB RESULT``.

A fresh process makes the peak memory that backend's own. Accuracy is not computed here: the detections are handed back
and go through the one evaluator (see :mod:`deploy.ladder.benchmark`).
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import cv2
from tqdm import tqdm

from deploy.runtime.backends import Backend, resolve_threads
from deploy.runtime.commands import command
from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.detections import category_ids
from deploy.runtime.detector import Detector, open_detector
from deploy.runtime.errors import ArtefactError, BackendUnavailable, ImageError
from deploy.runtime.images import read_image
from deploy.runtime.measurements import Latency
from deploy.runtime.split import Split
from deploy.runtime.split_detections import detect_split
from deploy.timing.cpu_affinity import pin
from deploy.timing.gpu_monitor import GpuMonitor
from deploy.timing.latency import LATENCY_IMAGES, Plan
from deploy.timing.memory import peak_memory
from deploy.timing.sweep import End, Sweep, sweep


@dataclass(frozen=True)
class Job:
    """What one worker measures; ``image_root`` is the folder of the ``file_name`` entries in the COCO json.

    ``accuracy_images`` of the split are run for their detections, evenly spaced (None: all); latency is measured on its
    first ones. ``pin`` keeps the worker on as many cores as it has ``threads``.
    """

    artefact: str
    backend: str
    annotations: str
    image_root: str
    batch_sizes: tuple[int, ...]
    max_call_ms: float | None
    plan: Plan
    threads: int
    pin: bool
    accuracy_images: int | None = None


@dataclass(frozen=True)
class Outcome:
    """What one worker measured; ``reason`` is set, and nothing else, when the backend cannot run here.

    ``cores`` are those that it was kept on, ``sweep_reason`` says why larger batches were not measured, and
    ``gpu_unseen`` why NVML told nothing of the GPU. ``peak_memory_bytes`` is the largest resident memory of the worker
    process from its start until latency is measured: interpreter, libraries, the artefact, up to 32 decoded images and
    every batch size. The detections that are collected afterwards grow with the split and are no cost of the artefact.
    ``load_ms`` is the time from the path of the artefact to a detector that is ready for its first image.
    """

    reason: str = ""
    version: str = ""
    device: str = ""
    precision: str = ""
    threads: int = 0
    cores: tuple[int, ...] = ()
    load_ms: float | None = None
    latency: tuple[Latency, ...] = ()
    sweep_end: End | None = None
    sweep_reason: str = ""
    gpu_unseen: str = ""
    detections: DetectionColumns = field(default_factory=DetectionColumns.none)
    peak_memory_bytes: int | None = None

    def write(self, path: Path) -> None:
        """Write them for :meth:`read`: json, and the detections in a file beside it."""
        self.detections.write(path.with_suffix(".npz"))
        content = {name: value for name, value in vars(self).items() if name != "detections"}
        content["latency"] = [asdict(latency) for latency in self.latency]
        path.write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what the worker wrote."""
        content = json.loads(path.read_text(encoding="utf-8"))
        latency = tuple(map(Latency.from_content, content.pop("latency")))
        return cls(**content, latency=latency, detections=DetectionColumns.read(path.with_suffix(".npz")))


def run_job(job: Job) -> Outcome:
    """Open the artefact, measure its latency, and run it on the images of the split.

    Raises:
        ArtefactError: the artefact cannot be read, or its classes are not those of the data set.
        ImageError: an image of the split cannot be read.
    """
    # Before the backend starts its threads, which stay where they are born.
    cores = pin(resolve_threads(job.threads)) if job.pin else ()
    started = perf_counter()
    try:
        detector = open_detector(job.artefact, job.backend, job.threads)
    except BackendUnavailable as error:
        return Outcome(reason=str(error))
    load_ms = 1e3 * (perf_counter() - started)
    with detector:
        return replace(_measured(detector, job), cores=cores, load_ms=load_ms)


def _measured(detector: Detector, job: Job) -> Outcome:
    backend = detector.backend
    # OpenCV resizes on threads of its own; the stated number holds for the whole detector.
    cv2.setNumThreads(backend.threads)
    split = Split.read(Path(job.annotations))
    ids = category_ids(detector.spec.classes, split.categories, job.artefact)
    monitor, gpu_unseen = _monitor(backend)
    swept = _sweep(detector, job, split.images, monitor)
    peak = peak_memory()
    measured_on, image_root = split.spaced(job.accuracy_images), Path(job.image_root)
    detections = detect_split(detector, measured_on, image_root, ids, f"{job.backend} detections")
    return Outcome(
        version=backend.version,
        device=backend.device,
        precision=backend.precision,
        threads=backend.threads,
        latency=swept.latency,
        sweep_end=swept.end,
        sweep_reason=swept.reason,
        gpu_unseen=gpu_unseen,
        detections=detections,
        peak_memory_bytes=peak,
    )


def _monitor(backend: Backend) -> tuple[GpuMonitor | None, str]:
    if backend.device == "cpu":
        return None, ""
    try:
        return GpuMonitor.open(), ""
    except BackendUnavailable as error:
        return None, str(error)


def _sweep(detector: Detector, job: Job, entries: list[dict[str, Any]], monitor: GpuMonitor | None) -> Sweep:
    files = [Path(job.image_root) / entry["file_name"] for entry in entries[:LATENCY_IMAGES]]
    images = [read_image(file) for file in files]
    # A second time, from the system's file cache: how long decoding takes, and not how fast the disk is.
    start = perf_counter()
    for file in files:
        read_image(file)
    decoding = 1e3 * (perf_counter() - start) / max(1, len(files))

    @contextmanager
    def progress(batch_size: int) -> Iterator[Callable[[], object]]:
        with tqdm(desc=f"{job.backend} batch {batch_size}", unit="call", mininterval=0.5, leave=False) as bar:
            yield bar.update

    return sweep(detector, images, job.batch_sizes, job.plan, job.max_call_ms, decoding, progress, monitor)


@command(ArtefactError, ImageError)
def main(argv: Sequence[str] | None = None) -> None:
    """Measure one artefact under one backend. ``stages.benchmark`` starts it; there is nothing to start by hand."""
    parser = argparse.ArgumentParser(prog="python -m deploy.timing.worker", description=main.__doc__)
    parser.add_argument("job", type=Path, help="json of what to measure")
    parser.add_argument("outcome", type=Path, help="the json to write, with the detections beside it")
    options = parser.parse_args(argv)
    content = json.loads(options.job.read_text(encoding="utf-8"))
    job = Job(**{**content, "plan": Plan(**content["plan"])})
    run_job(job).write(options.outcome)


if __name__ == "__main__":
    main()
