"""Early stopping: the rule, and trainings that end by it."""

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
from pipeline.training.stopping import stop_of, validations_without_gain
from pipeline.training_records import EarlyStop, ValidationPoint
from tests.pipeline.training.interruption import FailAt

Squares = tuple[DatasetRecord, Path]


@pytest.mark.parametrize(
    ("accuracies", "min_delta", "waited"),
    [
        ([], 0.0, 0),
        ([10.0], 0.0, 0),
        ([0.0, 0.0, 0.0], 0.0, 2),
        ([10.0, 9.0, 11.0, 10.5, 11.0], 0.0, 2),
        ([10.0, 10.5, 10.9, 11.0], 1.0, 0),  # small steps add up
        ([10.0, 10.5, 10.9, 10.99], 1.0, 3),
        ([None, None], 0.0, 2),
        ([None, 5.0, None], 0.0, 1),
    ],
)
def test_validations_since_the_last_gain(accuracies: list[float | None], min_delta: float, waited: int) -> None:
    assert validations_without_gain(accuracies, min_delta) == waited


# mmengine takes an AP that is exactly at the mark for a gain also without min_delta; those do not occur here.
@given(
    accuracies=st.lists(st.integers(1, 400), min_size=1, max_size=30, unique=True),
    min_delta=st.integers(0, 40).map(lambda quarters: quarters / 4),
    patience=st.integers(1, 6),
)
def test_a_training_ends_where_mmengines_hook_would_end_it(
    accuracies: list[int], min_delta: float, patience: int
) -> None:
    quarters = [value / 4 for value in accuracies]
    hook = EarlyStoppingHook(monitor="ap", rule="greater", min_delta=min_delta, patience=patience)
    settings = EarlyStoppingSettings(patience=patience, min_delta=min_delta)
    for seen in range(1, len(quarters) + 1):
        expected, _ = hook._check_stop_condition(quarters[seen - 1])
        points = [ValidationPoint(iteration=place, ap=ap) for place, ap in enumerate(quarters[:seen])]
        stop = stop_of(points, settings)
        assert stop == (EarlyStop(patience=patience, min_delta=min_delta) if expected else None)
        if expected:
            break


def test_without_patience_nothing_ends() -> None:
    assert stop_of([ValidationPoint(iteration=1, ap=0.0)] * 100, EarlyStoppingSettings()) is None


@pytest.fixture
def stops(settings: TrainSettings) -> TrainSettings:
    """Nothing gains 100 points: the second validation after the first one is the last."""
    early = EarlyStoppingSettings(patience=2, min_delta=100)
    return settings.model_copy(update={"early_stopping": early, "checkpoint_interval": 100, "log_interval": 4})


def test_a_training_that_no_longer_improves_ends_after_a_kill_too(
    make_recipe: Callable[..., Recipe],
    squares: Squares,
    stops: TrainSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    recipe = make_recipe("model", **{"train_cfg.max_iters": 20, "train_cfg.val_interval": 2})
    job, weights = TrainingJob(recipe, *squares, stops), tmp_path / "model.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.distillers.distiller.Distiller.iteration", FailAt(5), raising=False)
        with pytest.raises(KeyboardInterrupt):
            train(job, weights)
    record = train(job, weights)
    assert (record.iterations, record.planned_iterations, record.resumed) == (6, 20, 1)
    assert record.stopped == EarlyStop(patience=2, min_delta=100)
    assert [point.iteration for point in record.validation] == [2, 4, 6]
    assert [point.iteration for point in record.points] == [4, 6]
    assert record.best_val_ap == max(point.ap for point in record.validation)
    reason = "AP on the val split did not rise by 100 points in 2 validations"
    assert f"model: stopped after 6 of 20 iterations, as {reason}" in capsys.readouterr().err
    monkeypatch.setattr("pipeline.training.job.build_distiller", lambda _: pytest.fail("trains again"))
    again = train(job, weights)
    assert again.model_copy(update={"peak_memory_bytes": record.peak_memory_bytes}) == record
