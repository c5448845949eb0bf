"""The run in one small file: what ``dvc metrics show``, ``dvc metrics diff`` and ``dvc exp show`` put into columns."""

from typing import Any

from pipeline.report.collect import ModelResults, Results
from pipeline.report.comparison import Measured, fastest, gain, reference_batch

_MIB = 2**20
_DIGITS = 3


def metrics(results: Results) -> dict[str, Any]:
    """By model: AP in points and its gain over the twin; by rung below PyTorch: AP, p50 of a call in ms, size in MiB.

    Mappings alone: DVC leaves lists out. A rung is named ``<artefact>@<backend>``; its latency is that at the smallest
    batch size, and one that did not run here is left out.
    """
    return {model.name: _model(model, results) for model in results.models}


def _model(model: ModelResults, results: Results) -> dict[str, Any]:
    found: dict[str, Any] = {"ap": _rounded(model.ap)}
    if (difference := gain(model, results.baseline)) is not None:
        found["gain"] = _rounded(difference.points)
        if difference.low is not None and difference.high is not None:
            found["gain_low"], found["gain_high"] = _rounded(difference.low), _rounded(difference.high)
    batch = reference_batch(results)
    if best := fastest(model.benchmark, batch):
        found["fastest_ms"] = _rounded(best.latency.p50)
    if rungs := {name_of(item): _rung(item, model) for item in _at(model, batch)}:
        found["rungs"] = rungs
    return found


def name_of(measured: Measured) -> str:
    """A rung's name: its artefact's precision and its backend."""
    return f"{measured.run.artefact}@{measured.run.backend}"


def _at(model: ModelResults, batch: int) -> list[Measured]:
    runs = [run for run in model.runs if run.status == "ok"]
    return [Measured(model.name, run, latency) for run in runs if (latency := run.latency_at(batch))]


def _rung(measured: Measured, model: ModelResults) -> dict[str, float | None]:
    accuracy, benchmark = measured.run.accuracy, model.benchmark
    sizes = {file.precision: file.file_size for file in (benchmark.artefacts if benchmark else [])}
    return {
        "ap": _rounded(accuracy.numbers.ap) if accuracy else None,
        "p50_ms": _rounded(measured.latency.p50),
        "mib": _rounded(sizes[measured.run.artefact] / _MIB),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
