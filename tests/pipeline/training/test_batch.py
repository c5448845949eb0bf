"""The learning rate of the real batch: the numbers, what is said about them, and what the optimizer gets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import RecipeError
from pipeline.recipes import Recipe
from pipeline.records import DatasetRecord
from pipeline.settings import TrainSettings
from pipeline.training import TrainingJob, train
from pipeline.training.batch import announce_learning_rate, scaling_of

RecipeMaker = Callable[..., Recipe]


@pytest.fixture
def scaled(make_recipe: RecipeMaker, tmp_path: Path) -> RecipeMaker:
    """A recipe with batches of 2 and a constant learning rate of 0.01 that is for steps of 16 images."""
    base = Path("configs/students/twin_gfl_r18w16_embedded.py").resolve()
    path = tmp_path / "scaled.py"
    path.write_text(
        f"_base_ = [{str(base)!r}]\n"
        "optim_wrapper = dict(optimizer=dict(lr=0.01), accumulative_counts=1)\n"
        "auto_scale_lr = dict(enable=True, base_batch_size=16)\n"
        "param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]\n"
        "train_cfg = dict(max_iters=3, val_interval=3)\n"
    )
    return lambda **options: make_recipe("scaled", str(path), **{"train_cfg.max_iters": 3} | options)


@pytest.mark.parametrize(
    ("processes", "accumulated", "said"),
    [
        (1, 1, "learning rate 0.01 x 0.125 = 0.00125, for steps of 2 images"),
        (4, 1, "learning rate 0.01 x 0.5 = 0.005, for steps of 8 images"),
        (4, 2, "learning rate 0.01 x 1 = 0.01, for steps of 16 images"),
        (16, 1, "learning rate 0.01 x 2 = 0.02, for steps of 32 images"),
    ],
)
def test_the_scaled_rate_is_said(
    scaled: RecipeMaker, processes: int, accumulated: int, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    announce_learning_rate(scaled(**{"optim_wrapper.accumulative_counts": accumulated}), processes)
    assert said in caplog.text
    assert ("iterations are for steps of 16 images" in caplog.text) is (processes * accumulated != 8)


@pytest.mark.parametrize(("accumulated", "rate"), [(1, 0.00125), (4, 0.005)])
def test_the_optimizer_gets_the_scaled_rate(
    scaled: RecipeMaker,
    squares: tuple[DatasetRecord, Path],
    settings: TrainSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    accumulated: int,
    rate: float,
) -> None:
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    options = {"optim_wrapper.accumulative_counts": accumulated, "train_cfg.max_iters": 1}
    record = train(TrainingJob(scaled(**options), *squares, settings), tmp_path / "scaled.safetensors")
    assert record is not None
    assert [point.learning_rate for point in record.points] == pytest.approx([rate])


@pytest.mark.parametrize(("processes", "warned"), [(1, False), (2, True)])
def test_a_rate_that_stays_is_a_warning_where_several_processes_share_the_work(
    scaled: RecipeMaker, processes: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = scaled(**{"auto_scale_lr.enable": False})
    assert scaling_of(recipe.config) is None
    announce_learning_rate(recipe, processes)
    assert ("2 processes make steps of 4 images, and the learning rate stays 0.01" in caplog.text) is warned


@pytest.mark.parametrize("base", [None, 0, "16"])
def test_a_base_that_is_no_number_of_images_is_named(scaled: RecipeMaker, base: object) -> None:
    recipe = scaled(**{"auto_scale_lr.base_batch_size": base})
    with pytest.raises(RecipeError, match=rf"auto_scale_lr\.base_batch_size is {base!r}"):
        scaling_of(recipe.config)
