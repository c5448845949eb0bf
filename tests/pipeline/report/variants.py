"""Results with single numbers replaced, so that a test can state what it asks for."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from deploy.ladder.choosing import choose
from pipeline.deploy_records import AbsentRung
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


def with_latency(results, model: str, **changes):
    """Every measurement of one model changed."""
    runs = [
        run.model_copy(update={"latency": [replace(item, **changes) for item in run.latency]})
        for run in model_of(results, model).benchmark.runs
    ]
    return with_runs(results, model, runs)


def with_turns(results: Results, model: str, rung: str = "", **changes: Any) -> Results:
    """Fields of what a model's rungs took while taking turns replaced: of ``artefact@backend`` or of all of them."""

    def is_meant(each: Any) -> bool:
        return each.model == model and rung in ("", f"{each.artefact}@{each.backend}")

    rungs = [each.model_copy(update=changes) if is_meant(each) else each for each in results.comparison.rungs]
    return replace(results, comparison=results.comparison.model_copy(update={"rungs": rungs}))


def without_turns(results: Results, model: str, rung: str, reason: str | None = None) -> Results:
    """The rung ``artefact@backend`` took no turns; the record has the reason, or does not know of the rung."""
    artefact, backend = rung.split("@")
    key = (model, artefact, backend)
    rungs = [each for each in results.comparison.rungs if (each.model, each.artefact, each.backend) != key]
    absent = [AbsentRung(model=model, artefact=artefact, backend=backend, reason=reason)] if reason else []
    return replace(results, comparison=results.comparison.model_copy(update={"rungs": rungs, "absent": absent}))


def model_of(results: Results, name: str) -> Any:
    """One model's results."""
    return next(item for item in results.models if item.name == name)


def chosen_anew(results: Results) -> Results:
    """What ships chosen by the AP that the results hold, as where val is measured."""
    known = {(rung.model, rung.run.artefact, rung.run.backend): rung.run for rung in results.rungs}
    students = [each for each in results.comparison.rungs if each.model != results.teacher.name]
    chosen = choose(
        [each for each in students if (each.model, each.artefact, each.backend) in known],
        lambda each: known[each.model, each.artefact, each.backend].accuracy.numbers.ap,
        results.params.report.max_ap_loss,
        "val",
        results.split.images,
    )
    return replace(results, chosen=chosen)
