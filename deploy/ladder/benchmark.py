"""The ladder: PyTorch, then every artefact of a model under every backend, each with its own accuracy and latency.

The backends run in processes of their own (:mod:`deploy.timing.isolated`); their detections go through the one
evaluator here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from deploy.ladder.differences import box_differences, worst_class
from deploy.runtime.artefact import read_spec
from deploy.runtime.backends import check_name
from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.errors import ArtefactError, BackendUnavailable
from deploy.runtime.split import Split
from deploy.timing.isolated import run_isolated
from deploy.timing.latency import Plan
from deploy.timing.worker import Job, Outcome
from pipeline.datasets.prepared import find_split
from pipeline.deploy_records import ArtefactFile, BackendRun, BenchmarkRecord
from pipeline.deploy_settings import BenchmarkSettings
from pipeline.errors import SettingsError
from pipeline.evaluation import evaluate_detections, paired_difference
from pipeline.evaluation.inputs import read_detections, read_ground_truth, read_results
from pipeline.gates import refuse
from pipeline.records import AccuracyRecord, Bootstrap, EvaluationRecord, Interval
from pipeline.settings import EvaluateSettings, Gates
from pipeline.storage import sha256_of


@dataclass(frozen=True)
class Reference:
    """What PyTorch reached on the split, and its detections."""

    record: EvaluationRecord
    detections: DetectionColumns

    def on(self, content: Split) -> "Reference":
        """The same on some of the split's images: what a rung that was run on them alone is compared with."""
        whole = self.record.accuracy
        if len(content.images) == whole.images:
            return self
        images = [image["id"] for image in content.images]
        detections = self.detections.taken(np.isin(self.detections.image, images))
        accuracy = evaluate_detections(content, detections, whole.split, _same_resamples(whole.bootstrap))
        return Reference(self.record.model_copy(update={"accuracy": accuracy}), detections)


def read_reference(record: Path, detections: Path, dataset_dir: Path) -> Reference:
    """Read what the evaluation of the PyTorch model left.

    Raises:
        PipelineError: a file is missing, or the detections are not of the split of the data set.
        DatasetError: the data set has no such split.
    """
    evaluation = EvaluationRecord.read(record)
    ground_truth = read_ground_truth(find_split(dataset_dir, evaluation.accuracy.split)[0])
    return Reference(evaluation, read_detections(read_results(detections), ground_truth, str(detections)))


def benchmark(
    model: str, artefacts: Mapping[str, Path], dataset_dir: Path, torch: Reference, settings: BenchmarkSettings
) -> BenchmarkRecord:
    """Run every artefact of ``settings`` under every backend of ``settings`` that takes its precision.

    A backend that cannot run on this machine is recorded as ``not run`` with the reason, once; nothing takes its place.
    With ``accuracy_images`` the artefacts and PyTorch are compared on as many images, evenly spaced over the split.

    Args:
        artefacts: files by precision.
        dataset_dir: a prepared data set; the split is the one that PyTorch was measured on.

    Raises:
        SettingsError: ``benchmark.backends`` holds an unknown name.
        DatasetError: the data set has no such split.
        ArtefactError: an artefact cannot be read, is not what its name says, or a backend failed while it ran.
    """
    _check(settings, artefacts)
    split = torch.record.accuracy.split
    annotations, image_root = find_split(dataset_dir, split)
    content = Split.read(annotations).spaced(settings.accuracy_images)
    reference = torch.on(content)
    runs: list[BackendRun] = []
    for precision, backend in rungs(settings):
        if any(run.backend == backend and run.status == "not run" for run in runs):
            continue
        job = Job(
            artefact=str(artefacts[precision]),
            backend=backend,
            annotations=str(annotations),
            image_root=str(image_root),
            batch_sizes=tuple(settings.batch_sizes),
            max_call_ms=settings.max_call_ms,
            plan=plan_of(settings),
            threads=settings.threads,
            pin=settings.pin,
            accuracy_images=settings.accuracy_images,
        )
        runs.append(measure_rung(precision, backend, run_isolated(job), content, reference, settings.compare_score))
    bootstrap = reference.record.accuracy.bootstrap
    return BenchmarkRecord(
        model=model,
        images=len(content.images),
        torch_ap=reference.record.accuracy.numbers.ap,
        torch_interval=bootstrap.interval if bootstrap else None,
        artefacts=[_describe(precision, artefacts[precision]) for precision in settings.precisions],
        runs=runs,
    )


def plan_of(settings: BenchmarkSettings) -> Plan:
    """How long every batch size is measured."""
    return Plan(**{item.name: getattr(settings, item.name) for item in fields(Plan)})


def rungs(settings: BenchmarkSettings) -> Iterator[tuple[str, str]]:
    """(precision of the file, backend), from the most exact down: its own precision before what a backend makes of it.

    Raises:
        BackendUnavailable: a backend is unknown.
    """
    for precision in settings.precisions:
        fitting = [name for name in settings.backends if check_name(name).takes(precision)]
        for backend in sorted(fitting, key=lambda name: check_name(name).precisions is not None):
            yield precision, backend


def measure_rung(
    precision: str, backend: str, outcome: Outcome, content: Split, torch: Reference, compare_score: float
) -> BackendRun:
    """One rung: what the worker measured on ``content``, and how far it is from PyTorch there (positive: below it)."""
    reference = torch.record.accuracy
    accuracy, interval = None, None
    if not outcome.reason:
        accuracy = evaluate_detections(
            content, outcome.detections, reference.split, _same_resamples(reference.bootstrap)
        )
        interval = _drop_interval(reference.bootstrap, accuracy.bootstrap)
    ap, torch_ap = accuracy.numbers.ap if accuracy else None, reference.numbers.ap
    measured = {item.name: getattr(outcome, item.name) for item in fields(Outcome) if item.name != "detections"}
    return BackendRun(
        artefact=precision,
        backend=backend,
        status="not run" if outcome.reason else "ok",
        accuracy=_without_draws(accuracy) if accuracy else None,
        map_drop=None if ap is None or torch_ap is None else torch_ap - ap,
        map_drop_interval=interval,
        worst_class=worst_class(reference, accuracy) if accuracy else None,
        boxes=box_differences(torch.detections, outcome.detections, compare_score) if accuracy else None,
        **measured,
    )


def _without_draws(accuracy: AccuracyRecord) -> AccuracyRecord:
    """The draws have served; thousands of numbers a rung would tell nobody more than their interval does."""
    bootstrap = accuracy.bootstrap.model_copy(update={"ap": [], "jackknife": []}) if accuracy.bootstrap else None
    return accuracy.model_copy(update={"bootstrap": bootstrap})


def _same_resamples(bootstrap: Bootstrap | None) -> EvaluateSettings | None:
    if bootstrap is None:
        return None
    confidence = bootstrap.interval.confidence
    return EvaluateSettings(resamples=len(bootstrap.ap), confidence=confidence, seed=bootstrap.seed)


def _drop_interval(torch: Bootstrap | None, artefact: Bootstrap | None) -> Interval | None:
    return paired_difference(torch, artefact).interval if torch and artefact else None


def _describe(precision: str, file: Path) -> ArtefactFile:
    return ArtefactFile(
        precision=precision, file=file.as_posix(), sha256=sha256_of(file), file_size=file.stat().st_size
    )


def check_gates(record: BenchmarkRecord, gates: Gates) -> None:
    """Hold every rung that ran against the limit of its precision, and the fastest one against that of latency.

    Latency is p50 of the smallest batch size. A gate that is on but has nothing to look at is broken too: no number,
    no pass.

    Raises:
        GateError: listing each number that crossed its limit; the first rung of the ladder that breaks comes first.
    """
    ran = [run for run in record.runs if run.status == "ok"]
    if not ran and _on(gates):
        refuse(f"{record.model} breaks the gates of params.yaml", [f"no backend ran here: {_reasons(record)}"])
    drops = [_broken_accuracy(run, record.torch_ap, gates) for run in ran]
    broken = [drop for drop in drops if drop] + _broken_latency(record, gates.benchmark_max_latency_ms)
    first = next((run for run, drop in zip(ran, drops, strict=True) if drop), None)
    where = f", first at {first.rung} under {first.backend}" if first else ""
    refuse(f"the ladder of {record.model} breaks the gates of params.yaml{where}", broken)


def _on(gates: Gates) -> bool:
    limits = gates.benchmark_max_map_drop.values()
    return gates.benchmark_max_latency_ms is not None or any(limit is not None for limit in limits)


def _reasons(record: BenchmarkRecord) -> str:
    return "; ".join(run.reason for run in record.runs)


def _broken_accuracy(run: BackendRun, torch_ap: float | None, gates: Gates) -> str:
    limit = gates.map_drop_limit(run.rung)
    if limit is None or run.map_drop is None or run.map_drop <= limit:
        return ""
    worst = f", most in class {run.worst_class.name} ({run.worst_class.drop:.2f})" if run.worst_class else ""
    loss = f"loses {run.map_drop:.3f} AP points against PyTorch's {torch_ap:.3f}{worst}"
    return f"gates.benchmark_max_map_drop.{run.rung}: {run.backend} {loss}, the limit is {limit:g}"


def _broken_latency(record: BenchmarkRecord, limit: float | None) -> list[str]:
    smallest = min((latency.batch_size for run in record.runs for latency in run.latency), default=0)
    fastest = record.fastest(smallest)
    latency = fastest.latency_at(smallest) if fastest else None
    if limit is None or fastest is None or latency is None or latency.p50 <= limit:
        return []
    time = f"{fastest.rung} under {fastest.backend}, takes {latency.p50:.2f} ms (p50, batch {latency.batch_size})"
    return [f"gates.benchmark_max_latency_ms: the fastest rung, {time}, the limit is {limit:g}"]


def _check(settings: BenchmarkSettings, artefacts: Mapping[str, Path]) -> None:
    for name in settings.backends:
        try:
            check_name(name)
        except BackendUnavailable as error:
            raise SettingsError(f"params.yaml: benchmark.backends: {error}") from error
    for precision in settings.precisions:
        found = read_spec(artefacts[precision]).precision
        if found != precision:
            raise ArtefactError(
                f"{artefacts[precision]}: its metadata says {found}, {precision} was expected; run `dvc repro`"
            )
