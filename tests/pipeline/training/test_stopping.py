"""Early stopping: the rule, and trainings that end by it."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.hooks import EarlyStoppingHook

from pipeline.recipes import Recipe
from pipeline.records import DatasetRecord
from pipeline.settings import EarlyStoppingSettings, TrainSettings
from pipeline.training import TrainingJob, train
from pipeline.training.loop import TrainLoop
from pipeline.training.stopping import Shortening, patience_ran_out, shortening_of
from pipeline.training_records import EarlyStop, ValidationPoint

Squares = tuple[DatasetRecord, Path]


@pytest.mark.parametrize(
    ("accuracies", "min_delta", "patience", "place"),
    [
        ([], 0.0, 1, None),
        ([10.0], 0.0, 1, None),
        ([0.0, 0.0, 0.0], 0.0, 2, 2),
        ([0.0, 0.0, 0.0], 0.0, 3, None),
        ([10.0, 9.0, 11.0, 10.5, 11.0], 0.0, 2, 4),
        ([10.0, 9.0, 9.0, 12.0, 13.0], 0.0, 2, 2),  # what comes later, in the last stretch, changes nothing
        ([10.0, 10.5, 10.9, 11.0], 1.0, 3, None),  # small steps add up
        ([10.0, 10.5, 10.9, 10.99], 1.0, 3, 3),
        ([None, None], 0.0, 2, 1),
        ([None, 5.0, None], 0.0, 2, None),
    ],
)
def test_patience_runs_out_at_the_last_of_so_many_validations_without_a_gain(
    accuracies: list[float | None], min_delta: float, patience: int, place: int | None
) -> None:
    assert patience_ran_out(accuracies, patience, min_delta) == place


# mmengine takes an AP that is exactly at the mark for a gain also without min_delta; those do not occur here.
@given(
    accuracies=st.lists(st.integers(1, 400), min_size=1, max_size=30, unique=True),
    min_delta=st.integers(0, 40).map(lambda quarters: quarters / 4),
    patience=st.integers(1, 6),
)
def test_the_last_stretch_begins_where_mmengines_hook_would_end_a_training(
    accuracies: list[int], min_delta: float, patience: int
) -> None:
    quarters = [value / 4 for value in accuracies]
    hook = EarlyStoppingHook(monitor="ap", rule="greater", min_delta=min_delta, patience=patience)
    settings = EarlyStoppingSettings(patience=patience, min_delta=min_delta)
    for seen in range(1, len(quarters) + 1):
        expected, _ = hook._check_stop_condition(quarters[seen - 1])
        points = [ValidationPoint(iteration=place + 1, ap=ap) for place, ap in enumerate(quarters[:seen])]
        found = shortening_of(points, settings, planned=1000)
        stop = EarlyStop(patience=patience, min_delta=min_delta, iteration=seen)
        assert (found.stop if found else None) == (stop if expected else None)
        if expected:
            break


def standing(*iterations: int) -> list[ValidationPoint]:
    return [ValidationPoint(iteration=iteration, ap=1.0) for iteration in iterations]


def test_without_patience_nothing_ends() -> None:
    assert shortening_of(standing(*range(1, 100)), EarlyStoppingSettings(), 1000) is None


def test_the_last_stretch_is_a_fifth_of_what_was_trained() -> None:
    settings = EarlyStoppingSettings(patience=2)
    found = shortening_of(standing(100, 200, 300), settings, 1000)
    assert found == Shortening(EarlyStop(patience=2, min_delta=0.0, iteration=300), last=360, planned=1000)
    assert [found.place(iteration) for iteration in (0, 299, 300, 330, 359, 360)] == [0, 299, 300, 655, 999, 1000]
    assert shortening_of(standing(100, 200, 300), settings, 360) is None  # as soon at its end by itself
    assert shortening_of(standing(1, 2, 3), settings, None) is None


@given(begun=st.integers(1, 500), more=st.integers(1, 2000))
def test_every_step_of_the_schedule_is_taken_once(begun: int, more: int) -> None:
    planned = begun + more
    found = shortening_of(standing(begun, begun), EarlyStoppingSettings(patience=1), planned)
    if found is None:
        return
    places = [found.place(iteration) for iteration in range(begun, found.last + 1)]
    assert (places[0], places[-2:], places) == (begun, [planned - 1, planned], sorted(set(places)))


@pytest.fixture
def stops(settings: TrainSettings) -> TrainSettings:
    """Nothing gains 100 points: after the sixth validation, four iterations are left of those that are planned."""
    early = EarlyStoppingSettings(patience=5, min_delta=100)
    return settings.model_copy(update={"early_stopping": early, "checkpoint_interval": 100, "log_interval": 1})


class Seen:
    """An attribute that keeps what it was set to."""

    def __init__(self) -> None:
        self.values = [0]

    def __get__(self, instance: object, owner: type) -> int:
        return self.values[-1]

    def __set__(self, instance: object, value: int) -> None:
        self.values.append(value)


LENGTH = {"train_cfg.max_iters": 40, "train_cfg.val_interval": 2}
CURVE = [{"type": "CosineAnnealingLR", "by_epoch": False, "begin": 0, "end": 40, "T_max": 40, "eta_min": 0.0}]


def test_a_training_that_no_longer_improves_takes_its_learning_rate_down_and_ends(
    make_recipe: Callable[..., Recipe],
    squares: Squares,
    stops: TrainSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    recipe = make_recipe("model", **LENGTH, param_scheduler=CURVE)
    job, weights, seen = TrainingJob(recipe, *squares, stops), tmp_path / "model.safetensors", Seen()
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.distillers.distiller.Distiller.iteration", seen, raising=False)
        record = train(job, weights)
    assert record is not None
    assert (record.iterations, record.planned_iterations) == (15, 40)
    assert record.stopped == EarlyStop(patience=5, min_delta=100, iteration=12)
    assert [point.iteration for point in record.validation] == [2, 4, 6, 8, 10, 12, 14, 15]
    assert record.best_val_ap == max(point.ap for point in record.validation if point.ap is not None)
    rate = recipe.config.optim_wrapper.optimizer.lr
    # What is left of the cosine in three iterations, the last as low as the last of all forty.
    places = [*range(12), 12, 26, 39]
    expected = [rate * (1 + math.cos(math.pi * place / 40)) / 2 for place in places]
    assert [point.learning_rate for point in record.points] == pytest.approx(expected)
    # A distillation goes through its own schedule as fast: set before a step, counted on in it.
    assert seen.values[-8:] == [11, 12, 12, 13, 26, 27, 39, 40]
    reason = "AP on the val split did not rise by 100 points in 5 validations"
    assert f"model: ends after 15 of 40 iterations, the learning rate goes down now, as {reason}" in (
        capsys.readouterr().err
    )
    monkeypatch.setattr("pipeline.training.job.build_distiller", lambda _: pytest.fail("trains again"))
    again = train(job, weights)
    assert again is not None
    assert again.model_copy(update={"peak_memory_bytes": record.peak_memory_bytes}) == record


@pytest.mark.parametrize("killed_in", [11, 14])
def test_a_killed_training_goes_on_on_its_way_down(
    killed_in: int,
    make_recipe: Callable[..., Recipe],
    squares: Squares,
    stops: TrainSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed before the last stretch, and within it, after a validation and a checkpoint there."""
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    records = []
    for name in ("straight", "broken"):
        recipe = make_recipe(name, **LENGTH, param_scheduler=CURVE)
        job = TrainingJob(recipe, *squares, stops)
        if name == "broken":
            with monkeypatch.context() as patch:
                patch.setattr("pipeline.training.loop.TrainLoop._step", failing_at(killed_in))
                with pytest.raises(KeyboardInterrupt):
                    train(job, tmp_path / f"{name}.safetensors")
        records.append(train(job, tmp_path / f"{name}.safetensors"))
    straight, broken = records
    assert straight is not None
    assert broken is not None
    assert (straight.resumed, broken.resumed) == (0, 1)
    assert (broken.stopped, broken.iterations) == (straight.stopped, straight.iterations)
    assert broken.validation == straight.validation
    assert [point.learning_rate for point in broken.points] == [point.learning_rate for point in straight.points]


def failing_at(iteration: int) -> Callable[..., None]:
    """A step of the loop that is interrupted before this iteration, from 0."""
    step = TrainLoop._step

    def interrupted(loop: TrainLoop, batch: object) -> None:
        if loop.iter == iteration:
            raise KeyboardInterrupt
        step(loop, batch)

    return interrupted
