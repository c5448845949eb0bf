"""Schedules by epochs: as many iterations as the epochs have, the same learning rates, resumed in the middle."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from mmdet.models.dense_heads import GFLHead
from mmengine.logging import MessageHub

from pipeline.checkpoints import load_weights
from pipeline.errors import RecipeError
from pipeline.recipes import Recipe
from pipeline.records import DatasetRecord
from pipeline.settings import TrainSettings
from pipeline.training import TrainingJob, train
from pipeline.training_records import TrainingRecord

Squares = tuple[DatasetRecord, Path]
EPOCH = 6  # 12 training images in batches of 2
SCHEDULE = (
    "train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=3, val_interval=1)\n"
    "train_dataloader = dict(sampler=dict(type='DefaultSampler', shuffle=True),\n"
    "    batch_sampler=dict(type='AspectRatioBatchSampler'), dataset=dict(pipeline=[\n"
    "    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),\n"
    "    dict(type='Resize', scale=(64, 64)), dict(type='RandomFlip', prob=0.5),\n"
    "    dict(type='PhotoMetricDistortion'), dict(type='PackDetInputs')]))\n"
    "param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=4),\n"
    "    dict(type='MultiStepLR', begin=0, end=3, by_epoch=True, milestones=[1, 2], gamma=0.1)]\n"
    "optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.04, weight_decay=0.0))\n"
)


Maker = Callable[..., Recipe]


@pytest.fixture(scope="module")
def epochs_in(recipes_in: Callable[[Path], Maker]) -> Callable[[Path], Maker]:
    """For a folder, what makes twins there whose schedule counts epochs, as mmdet's own do."""
    base = Path("configs/students/twin_gfl_r18w16_embedded.py").resolve()

    def make(folder: Path, name: str, more: str = "", **options: object) -> Recipe:
        file = folder / f"{name}.py"
        file.write_text(f"_base_ = [{str(base)!r}]\n{SCHEDULE}{more}")
        return recipes_in(folder)(name, str(file), by_epochs=True, **options)

    return lambda folder: partial(make, folder)


@pytest.fixture
def epochs(epochs_in: Callable[[Path], Maker], tmp_path: Path) -> Maker:
    return epochs_in(tmp_path)


@pytest.fixture
def job(squares: Squares, settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    return lambda recipe: TrainingJob(recipe, *squares, settings)


@pytest.fixture(scope="module")
def told() -> list[int]:
    """The epoch that a head is told of in each iteration of ``straight``."""
    return []


@pytest.fixture(scope="module")
def straight(
    told: list[int],
    epochs_in: Callable[[Path], Maker],
    squares: Squares,
    settings: TrainSettings,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[TrainingRecord, Path]:
    """Record and weights of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    original = GFLHead.loss_by_feat

    def loss_by_feat(*arguments: Any, **named: Any) -> Any:
        told.append(MessageHub.get_current_instance().get_info("epoch"))
        return original(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.training.job.WORK_DIRS", folder / "work_dirs")
        patch.setattr(GFLHead, "loss_by_feat", loss_by_feat)
        recipe = epochs_in(folder)("straight")
        record = train(TrainingJob(recipe, *squares, settings), folder / "straight.safetensors")
    assert record is not None
    return record, folder / "straight.safetensors"


def test_trains_all_epochs_validates_after_each_and_steps_the_learning_rate(
    straight: tuple[TrainingRecord, Path],
) -> None:
    record, _ = straight
    assert record.iterations == 3 * EPOCH
    assert [point.iteration for point in record.validation] == [EPOCH, 2 * EPOCH, 3 * EPOCH]
    rates = [point.learning_rate for point in record.points]
    warm = [0.04 * factor for factor in (0.1, 0.4, 0.7)]
    expected = [*warm, *[0.04] * 3, *[0.004] * EPOCH, *[0.0004] * EPOCH]
    assert rates == pytest.approx(expected)


@pytest.mark.usefixtures("straight")
def test_heads_are_told_the_epoch_of_each_iteration(told: list[int]) -> None:
    # TOOD takes another assigner and another loss after some.
    assert told == [0] * EPOCH + [1] * EPOCH + [2] * EPOCH


@pytest.mark.parametrize("stopped_in", [5, EPOCH + 3, 2 * EPOCH + 1])
def test_goes_on_in_the_middle_of_an_epoch_with_the_same_images_and_ends_with_the_same_weights(
    straight: tuple[TrainingRecord, Path],
    epochs: Maker,
    job: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    stopped_in: int,
) -> None:
    broken = job(epochs("broken"))
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.distillers.distiller.Distiller.parse_losses", _FailAt(stopped_in))
        with pytest.raises(KeyboardInterrupt):
            train(broken, tmp_path / "broken.safetensors")
    record = train(broken, tmp_path / "broken.safetensors")
    assert record.resumed == 1
    for resumed, uninterrupted in zip(record.points, straight[0].points, strict=True):
        assert resumed.learning_rate == uninterrupted.learning_rate
        assert resumed.losses == pytest.approx(uninterrupted.losses, rel=1e-4), resumed.iteration
    wanted, got = (load_weights(path)[0] for path in (straight[1], tmp_path / "broken.safetensors"))
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6)


def test_a_training_that_ended_has_nothing_left_to_do(epochs: Maker, job: Any, tmp_path: Path) -> None:
    finished = job(epochs("model", **{"train_cfg.max_epochs": 1}))
    first = train(finished, tmp_path / "first.safetensors")
    again = train(finished, tmp_path / "again.safetensors")
    assert again.points == first.points
    assert (tmp_path / "first.safetensors").read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_the_learning_rate_follows_the_real_batch(epochs: Maker, job: Any, tmp_path: Path) -> None:
    scaled = epochs("model", "auto_scale_lr = dict(enable=True, base_batch_size=16)\n", **{"train_cfg.max_epochs": 1})
    record = train(job(scaled), tmp_path / "model.safetensors")
    assert record.points[-1].learning_rate == pytest.approx(0.04 * 2 / 16)


def test_a_schedule_by_epochs_needs_a_training_by_epochs(make_recipe: Maker, job: Any, tmp_path: Path) -> None:
    base = Path("configs/students/twin_gfl_r18w16_embedded.py").resolve()
    file = tmp_path / "mixed.py"
    file.write_text(f"_base_ = [{str(base)!r}]\nparam_scheduler = [dict(type='MultiStepLR', milestones=[1])]\n")
    with pytest.raises(RecipeError, match=r"mixed\.py: param_scheduler\[0\] \(MultiStepLR\) counts epochs"):
        train(job(make_recipe("mixed", str(file))), tmp_path / "mixed.safetensors")


class _FailAt:
    """Takes the place of ``parse_losses`` and interrupts in one iteration."""

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def __get__(self, distiller: Any, owner: type) -> Callable[..., Any]:
        if distiller.iteration >= self.limit:
            raise KeyboardInterrupt
        return lambda losses: super(owner, distiller).parse_losses(losses)
