"""The ladder: accuracy and latency of one artefact under every requested backend, against PyTorch's accuracy.

The backends run in processes of their own (:mod:`deploy.worker`); their detections go through the one evaluator here.
"""

from pathlib import Path

from deploy.artefact import read_spec
from deploy.backends import check_name
from deploy.benchmark import Job, Outcome
from deploy.errors import BackendUnavailable
from deploy.worker import run_isolated
from pipeline.datasets.layout import find_split
from pipeline.errors import GateError, PipelineError, SettingsError
from pipeline.evaluation import evaluate_detections
from pipeline.records import AccuracyRecord, BackendRun, BenchmarkRecord, EvaluationRecord, Latency
from pipeline.settings import BenchmarkSettings, Gates
from pipeline.storage import sha256_of


def benchmark(
    model: str, artefact: Path, dataset_dir: Path, split: str, torch: EvaluationRecord, settings: BenchmarkSettings
) -> BenchmarkRecord:
    """Run ``artefact`` under every backend of ``settings`` on a prepared data set.

    A backend that cannot run on this machine is recorded as ``not run`` with the reason; nothing takes its place.

    Raises:
        SettingsError: ``benchmark.backends`` holds an unknown name.
        DatasetError: the data set has no such split.
        PipelineError: the PyTorch accuracy was measured on another split.
        ArtefactError: the artefact cannot be read, or a backend failed while it ran.
    """
    _check(settings, torch, split)
    read_spec(artefact)
    annotations, image_root = find_split(dataset_dir, split)
    torch_ap = torch.accuracy.numbers.ap
    runs = []
    for backend in settings.backends:
        job = Job(
            artefact=str(artefact),
            backend=backend,
            annotations=str(annotations),
            image_root=str(image_root),
            batch_sizes=tuple(settings.batch_sizes),
            threads=settings.threads,
            warmup=settings.warmup,
            iterations=settings.iterations,
        )
        outcome = run_isolated(job)
        accuracy = None if outcome.reason else evaluate_detections(annotations, list(outcome.detections), split, None)
        runs.append(backend_run(backend, outcome, accuracy, torch_ap))
    return BenchmarkRecord(
        model=model,
        artefact=artefact.as_posix(),
        sha256=sha256_of(artefact),
        file_size=artefact.stat().st_size,
        torch_ap=torch_ap,
        runs=runs,
    )


def backend_run(backend: str, outcome: Outcome, accuracy: AccuracyRecord | None, torch_ap: float | None) -> BackendRun:
    """One rung: what the worker measured, and PyTorch's AP minus the artefact's in points (negative: it gained)."""
    ap = accuracy.numbers.ap if accuracy else None
    return BackendRun(
        backend=backend,
        version=outcome.version,
        device=outcome.device,
        precision=outcome.precision,
        status="not run" if outcome.reason else "ok",
        reason=outcome.reason,
        threads=outcome.threads,
        accuracy=accuracy,
        map_drop=None if ap is None or torch_ap is None else torch_ap - ap,
        latency=[Latency(**summary) for summary in outcome.latency],
        load_ms=outcome.load_ms,
        peak_memory_bytes=outcome.peak_memory_bytes,
    )


def check_gates(record: BenchmarkRecord, gates: Gates) -> None:
    """Hold every backend that ran against the limits; the latency gate is on p50 of the smallest batch size.

    A gate that is on but has nothing to look at is broken too: no number, no pass.

    Raises:
        GateError: listing each number that crossed its limit.
    """
    ran = [run for run in record.runs if run.status == "ok"]
    broken = [] if ran or not _on(gates) else [f"no backend ran here: {_reasons(record)}"]
    for run in ran:
        broken += _broken_accuracy(run, record.torch_ap, gates.benchmark_max_map_drop)
        broken += _broken_latency(run, gates.benchmark_max_latency_ms)
    if broken:
        raise GateError(f"{record.artefact} breaks the gates of params.yaml:\n" + "\n".join(f"  {b}" for b in broken))


def _on(gates: Gates) -> bool:
    return gates.benchmark_max_map_drop is not None or gates.benchmark_max_latency_ms is not None


def _reasons(record: BenchmarkRecord) -> str:
    return "; ".join(run.reason for run in record.runs)


def _broken_accuracy(run: BackendRun, torch_ap: float | None, limit: float | None) -> list[str]:
    if limit is None or run.map_drop is None or run.map_drop <= limit:
        return []
    loss = f"loses {run.map_drop:.3f} AP points against PyTorch's {torch_ap:.3f}"
    return [f"gates.benchmark_max_map_drop: {run.backend} {loss}, the limit is {limit:g}"]


def _broken_latency(run: BackendRun, limit: float | None) -> list[str]:
    smallest = min(run.latency, key=lambda latency: latency.batch_size)
    if limit is None or smallest.p50 <= limit:
        return []
    time = f"takes {smallest.p50:.2f} ms (p50, batch {smallest.batch_size})"
    return [f"gates.benchmark_max_latency_ms: {run.backend} {time}, the limit is {limit:g}"]


def _check(settings: BenchmarkSettings, torch: EvaluationRecord, split: str) -> None:
    for name in settings.backends:
        try:
            check_name(name)
        except BackendUnavailable as error:
            raise SettingsError(f"params.yaml: benchmark.backends: {error}") from error
    if torch.accuracy.split != split:
        raise PipelineError(
            f"{torch.model}: PyTorch's accuracy is of the {torch.accuracy.split} split, evaluate.split asks for "
            f"{split}; run `dvc repro` to measure it again"
        )
