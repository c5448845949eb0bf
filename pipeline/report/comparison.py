"""What one model is worth beside another: gain over the twin, share of the teacher; and latency of its own run."""

import math
from dataclasses import dataclass
from typing import Literal

from deploy.runtime.measurements import Latency
from pipeline.deploy_records import BackendRun, BenchmarkRecord
from pipeline.evaluation import paired_difference
from pipeline.report.collect import ModelResults, Results

Verdict = Literal["better", "worse", "unclear", "unknown"]


@dataclass(frozen=True)
class Gain:
    """AP of a student minus AP of its twin, in points, with the paired bootstrap interval of that difference.

    ``low``, ``high`` and ``confidence`` are ``None`` where the models were evaluated without a bootstrap.
    """

    points: float
    low: float | None
    high: float | None
    confidence: float | None

    @property
    def verdict(self) -> Verdict:
        """``better`` or ``worse`` only where the interval excludes 0."""
        if self.low is None or self.high is None:
            return "unknown"
        return "better" if self.low > 0 else "worse" if self.high < 0 else "unclear"


@dataclass(frozen=True)
class Measured:
    """One latency measurement of a rung's own run, and the model and the backend run that it belongs to."""

    model: str
    run: BackendRun
    latency: Latency


def gain(model: ModelResults, baseline: ModelResults | None) -> Gain | None:
    """The gain of ``model`` over ``baseline``; ``None`` where there is no baseline, no AP, or no student to compare."""
    if baseline is None or model.role != "student" or model.ap is None or baseline.ap is None:
        return None
    of_student, of_baseline = model.evaluation.accuracy.bootstrap, baseline.evaluation.accuracy.bootstrap
    if of_student is None or of_baseline is None:
        return Gain(model.ap - baseline.ap, None, None, None)
    interval = paired_difference(of_student, of_baseline).interval
    return Gain(model.ap - baseline.ap, interval.low, interval.high, interval.confidence)


def share(model: ModelResults, teacher: ModelResults) -> float | None:
    """AP of ``model`` as a fraction of the teacher's AP."""
    return ratio(model.ap, teacher.ap)


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """``numerator / denominator``; ``None`` where either is missing or the quotient is not finite."""
    if numerator is None or not denominator:
        return None
    quotient = numerator / denominator
    return quotient if math.isfinite(quotient) else None


def difference(minuend: float | None, subtrahend: float | None) -> float | None:
    """``minuend - subtrahend``; ``None`` where either is missing."""
    return None if minuend is None or subtrahend is None else minuend - subtrahend


def reference_batch(results: Results) -> int:
    """The batch size that latencies are compared at: the smallest one that was asked for."""
    return min(results.params.benchmark.batch_sizes)


def fastest(benchmark: BenchmarkRecord | None, batch_size: int) -> Measured | None:
    """The backend with the lowest median latency at ``batch_size`` in the model's own run."""
    if benchmark and (run := benchmark.fastest(batch_size)) and (latency := run.latency_at(batch_size)):
        return Measured(benchmark.model, run, latency)
    return None


def measured(benchmark: BenchmarkRecord | None) -> list[Measured]:
    """Every measurement of every rung that ran."""
    if benchmark is None:
        return []
    runs = [run for run in benchmark.runs if run.status == "ok"]
    return [Measured(benchmark.model, run, latency) for run in runs for latency in run.latency]
