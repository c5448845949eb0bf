"""Results with single numbers replaced, so that a test can state what it asks for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pipeline.records import Bootstrap, Interval
from pipeline.report.collect import Results


def with_numbers(results: Results, model: str, **numbers: float | None) -> Results:
    """COCO numbers of one model replaced."""
    found = next(item for item in results.models if item.name == model)
    accuracy = found.evaluation.accuracy
    return with_accuracy(results, model, numbers=accuracy.numbers.model_copy(update=numbers))


def with_draws(results: Results, model: str, draws: Sequence[float] | None) -> Results:
    """Bootstrap draws of one model replaced, without a jackknife; ``None`` leaves the model without a bootstrap."""
    bootstrap = None
    if draws is not None:
        found = next(item for item in results.models if item.name == model)
        bootstrap = Bootstrap(
            seed=0,
            images=24,
            measured=found.evaluation.accuracy.numbers.ap or 0,
            ap=list(draws),
            jackknife=[None] * 24,
            interval=Interval(low=min(draws), high=max(draws), confidence=0.95),
        )
    return with_accuracy(results, model, bootstrap=bootstrap)


def with_accuracy(results: Results, model: str, **changes: Any) -> Results:
    """Fields of one model's accuracy record replaced."""

    def change(item: Any) -> Any:
        accuracy = item.evaluation.accuracy.model_copy(update=changes)
        return replace(item, evaluation=item.evaluation.model_copy(update={"accuracy": accuracy}))

    return replace(results, models=tuple(change(item) if item.name == model else item for item in results.models))


def with_runs(results: Results, model: str, runs: Sequence[Any]) -> Results:
    """Backend runs of one model's benchmark replaced."""

    def change(item: Any) -> Any:
        return replace(item, benchmark=item.benchmark.model_copy(update={"runs": list(runs)}))

    return replace(results, models=tuple(change(item) if item.name == model else item for item in results.models))


def model_of(results: Results, name: str) -> Any:
    """One model's results."""
    return next(item for item in results.models if item.name == name)
