"""Measure one artefact under one backend, in a process of its own: ``python -m deploy.benchmark JOB RESULT``.

A fresh process makes the peak memory that backend's own. Accuracy is not computed here: the detections are handed back
and go through the one evaluator (see :mod:`deploy.ladder`).
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, NoReturn

import cv2
from tqdm import tqdm

from deploy.errors import ArtefactError, BackendUnavailable, ImageError
from deploy.images import read_image
from deploy.latency import measure
from deploy.memory import peak_memory
from deploy.session import Detector, open_detector

# Distinct pictures for the latency: enough variety of content, little enough to keep decoded in memory.
_LATENCY_IMAGES = 32


@dataclass(frozen=True)
class Job:
    """What one worker measures; ``image_root`` is the folder of the ``file_name`` entries in the COCO json."""

    artefact: str
    backend: str
    annotations: str
    image_root: str
    batch_sizes: tuple[int, ...]
    threads: int
    warmup: int
    iterations: int


@dataclass(frozen=True)
class Outcome:
    """What one worker measured; ``reason`` is set, and nothing else, when the backend cannot run here.

    ``peak_memory_bytes`` is the largest resident memory of the whole worker process, from its start to its end:
    interpreter, libraries, the artefact, up to 32 decoded images and every batch size.
    ``load_ms`` is the time from the path of the artefact to a detector that is ready for its first image.
    """

    reason: str = ""
    version: str = ""
    device: str = ""
    precision: str = ""
    threads: int = 0
    load_ms: float | None = None
    latency: tuple[dict[str, Any], ...] = ()
    detections: tuple[dict[str, Any], ...] = ()
    peak_memory_bytes: int | None = None


def run_job(job: Job) -> Outcome:
    """Open the artefact, measure its latency, and run it on every image of the split.

    Raises:
        ArtefactError: the artefact cannot be read, or its classes are not those of the data set.
        ImageError: an image of the split cannot be read.
    """
    started = perf_counter()
    try:
        detector = open_detector(job.artefact, job.backend, job.threads)
    except BackendUnavailable as error:
        return Outcome(reason=str(error))
    load_ms = 1e3 * (perf_counter() - started)
    backend = detector.backend
    # OpenCV resizes on threads of its own; the stated number holds for the whole detector.
    cv2.setNumThreads(backend.threads)
    split = json.loads(Path(job.annotations).read_text(encoding="utf-8"))
    ids = category_ids(detector.spec.classes, split["categories"], job.artefact)
    latency = _latency(detector, job, split["images"])
    detections = _detect(detector, job, split["images"], ids)
    return Outcome(
        version=backend.version,
        device=backend.device,
        precision=backend.precision,
        threads=backend.threads,
        load_ms=load_ms,
        latency=latency,
        detections=tuple(detections),
        peak_memory_bytes=peak_memory(),
    )


def category_ids(classes: tuple[str, ...], categories: list[dict[str, Any]], artefact: str) -> list[int]:
    """Return the COCO category id of every class, matched by name.

    Raises:
        ArtefactError: a class of the artefact is no category of the data set, or the other way round.
    """
    ids = {category["name"]: int(category["id"]) for category in categories}
    if set(ids) != set(classes):
        raise ArtefactError(
            f"{artefact}: its classes are not the data set's: only in the artefact {sorted(set(classes) - set(ids))}, "
            f"only in the data {sorted(set(ids) - set(classes))}; export a model that was trained on this data set"
        )
    return [ids[name] for name in classes]


def _latency(detector: Detector, job: Job, entries: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    count = max(_LATENCY_IMAGES, *job.batch_sizes)
    images = [read_image(Path(job.image_root) / entry["file_name"]) for entry in entries[:count]]
    summaries = []
    for batch_size in job.batch_sizes:
        with _progress(job, f"batch {batch_size}", job.warmup + job.iterations, "call") as bar:
            summary = measure(detector, images, batch_size, job.warmup, job.iterations, bar.update)
        summaries.append(asdict(summary))
    return tuple(summaries)


def _detect(detector: Detector, job: Job, entries: list[dict[str, Any]], ids: list[int]) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    with _progress(job, "detections", len(entries), "image") as bar:
        for entry in entries:
            found = detector(Path(job.image_root) / entry["file_name"])
            results += found.to_coco(entry["id"], ids)
            bar.update()
    return results


def _progress(job: Job, title: str, total: int, unit: str) -> "tqdm[NoReturn]":
    return tqdm(total=total, desc=f"{job.backend} {title}", unit=unit, mininterval=0.5, leave=False)


def main() -> None:
    """Read a :class:`Job` from the first path, write its :class:`Outcome` to the second."""
    job_file, outcome_file = map(Path, sys.argv[1:])
    job = Job(**json.loads(job_file.read_text(encoding="utf-8")))
    try:
        outcome = run_job(job)
    except (ArtefactError, ImageError) as error:
        sys.exit(f"error: {error}")
    outcome_file.write_text(json.dumps(asdict(outcome)), encoding="utf-8")


if __name__ == "__main__":
    main()
