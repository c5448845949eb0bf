"""The run in one small file: what ``dvc metrics show``, ``dvc metrics diff`` and ``dvc exp show`` put into columns."""

from typing import Any

from pipeline.report.beside import beside, fastest_beside
from pipeline.report.collect import ModelResults, Results, Rung
from pipeline.report.comparison import gain

_MIB = 2**20
_DIGITS = 3


def metrics(results: Results) -> dict[str, Any]:
    """By model: AP in points and its gain over the twin; by rung below PyTorch: AP, p50 of a call in ms, size in MiB.

    Mappings alone: DVC leaves lists out. A rung is named ``<artefact>@<backend>``; its latency is that at the smallest
    batch size while all took turns, none where it took none. One that did not run here is left out.
    """
    return {model.name: _model(model, results) for model in results.models}


def _model(model: ModelResults, results: Results) -> dict[str, Any]:
    found: dict[str, Any] = {"ap": _rounded(model.ap)}
    if (difference := gain(model, results.baseline)) is not None:
        found["gain"] = _rounded(difference.points)
        if difference.low is not None and difference.high is not None:
            found["gain_low"], found["gain_high"] = _rounded(difference.low), _rounded(difference.high)
    if best := fastest_beside(results, model.name):
        found["fastest_ms"] = _rounded(best.turns.milliseconds)
    rungs = [rung for rung in results.rungs if rung.model == model.name]
    if rungs:
        found["rungs"] = {name_of(rung): _rung(rung, model, results) for rung in rungs}
    return found


def name_of(rung: Rung) -> str:
    """A rung's name: its artefact's precision and its backend."""
    return f"{rung.run.artefact}@{rung.run.backend}"


def _rung(rung: Rung, model: ModelResults, results: Results) -> dict[str, float | None]:
    accuracy, benchmark, found = rung.run.accuracy, model.benchmark, beside(results, rung)
    sizes = {file.precision: file.file_size for file in (benchmark.artefacts if benchmark else [])}
    return {
        "ap": _rounded(accuracy.numbers.ap) if accuracy else None,
        "p50_ms": _rounded(found.turns.milliseconds) if found else None,
        "mib": _rounded(sizes[rung.run.artefact] / _MIB),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
