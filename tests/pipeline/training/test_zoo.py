"""mmdet's RTMDet and YOLOX train as they are written: data, hooks and schedule, also in a training that was killed."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.checkpoints import load_weights
from pipeline.records import DatasetRecord
from pipeline.settings import TrainSettings
from pipeline.training import TrainingJob, train
from pipeline.training.resumption import RESUME_FILE
from pipeline.training_records import TrainingRecord
from tests.pipeline.training.interruption import FailAt
from tests.pipeline.training.zoo import RTMDET, YOLOX, shrunk

Squares = tuple[DatasetRecord, Path]
FILES = {
    "rtmdet": ("rtmdet/rtmdet_tiny_8xb32-300e_coco.py", RTMDET),
    "yolox": ("yolox/yolox_tiny_8xb8-300e_coco.py", YOLOX),
}
INTERRUPTED = "pipeline.distillers.distiller.Distiller.iteration"
EPOCH = 3  # of 11 or 12 images, in batches of 4

Trained = tuple[TrainingRecord, dict[str, torch.Tensor], Path]
Trainer = Callable[..., Trained]


@pytest.fixture(scope="module")
def trainer(squares: Squares, settings: TrainSettings) -> Trainer:
    """Trains one of the two in a folder, interrupted in an iteration where one is given."""

    def trained(folder: Path, which: str, stopped_in: int | None = None, **more: Any) -> Trained:
        file, changes = FILES[which]
        recipe = shrunk(folder, file, squares[0], changes, which)
        job = TrainingJob(recipe, *squares, settings.model_copy(update={"checkpoint_interval": 4, **more}))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.training.job.WORK_DIRS", folder / "work_dirs")
            # So that caches fill in so few iterations.
            patch.setattr("pipeline.training.draws.STREAMS", 2)
            patch.setattr("pipeline.training.cached_images.STREAMS", 2)
            if stopped_in:
                with patch.context() as failing:
                    failing.setattr(INTERRUPTED, FailAt(stopped_in), raising=False)
                    with pytest.raises(KeyboardInterrupt):
                        train(job, folder / "weights.safetensors")
            record = train(job, folder / "weights.safetensors")
        assert record is not None
        return record, load_weights(folder / "weights.safetensors")[0], folder / "work_dirs" / which

    return trained


@pytest.fixture(scope="module")
def straight(trainer: Trainer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    """Both, with nothing that interrupted them."""
    return {which: trainer(tmp_path_factory.mktemp(which), which) for which in FILES}


def test_rtmdet_is_validated_as_its_intervals_change(straight: dict[str, Trained]) -> None:
    record = straight["rtmdet"][0]
    assert [point.iteration for point in record.validation] == [2 * EPOCH, 3 * EPOCH]
    assert record.iterations == record.planned_iterations == 3 * EPOCH


def test_rtmdets_learning_rate_warms_up_stays_and_falls(straight: dict[str, Trained]) -> None:
    rates = [point.learning_rate for point in straight["rtmdet"][0].points]
    assert rates[0] == pytest.approx(0.004e-5)
    assert rates[2 : EPOCH + 1] == pytest.approx([0.004] * 2)
    assert all(later < earlier for earlier, later in pairwise(rates[EPOCH:]))


def test_yolox_adds_its_l1_loss_in_its_last_epochs(straight: dict[str, Trained]) -> None:
    points = straight["yolox"][0].points
    assert ["loss_l1" in point.losses for point in points] == [False] * EPOCH + [True] * 2 * EPOCH


def test_yolox_warms_up_quadratically(straight: dict[str, Trained]) -> None:
    rates = [point.learning_rate for point in straight["yolox"][0].points]
    assert rates[:EPOCH] == pytest.approx([0.002 * (at / EPOCH) ** 2 for at in (1, 2, 3)])
    assert rates[2 * EPOCH :] == pytest.approx([rates[-1]] * EPOCH)


# With processes that load ahead in the first and the last stage, and without them in the last one.
@pytest.mark.parametrize(("which", "stopped_in", "workers"), [("rtmdet", 5, 2), ("rtmdet", 9, 0), ("yolox", 6, 2)])
def test_a_killed_training_ends_with_the_same_weights(
    trainer: Trainer, straight: dict[str, Trained], tmp_path: Path, which: str, stopped_in: int, workers: int
) -> None:
    record, weights, _ = trainer(tmp_path, which, stopped_in, workers=workers)
    assert record.resumed == 1
    for again, once in zip(record.points, straight[which][0].points, strict=True):
        assert again.learning_rate == once.learning_rate
        assert again.losses == pytest.approx(once.losses, rel=1e-4), again.iteration
    for name, value in straight[which][1].items():
        torch.testing.assert_close(weights[name], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("which", FILES)
def test_the_averaged_weights_and_buffers_are_those_that_are_kept(straight: dict[str, Trained], which: str) -> None:
    record, weights, folder = straight[which]
    checkpoint = torch.load(folder / RESUME_FILE, weights_only=True)
    averaged, last = checkpoint["state_dict"], checkpoint["ema_state_dict"]  # mmengine puts each in the other's place
    assert not any("teacher" in name for name in last)
    if record.best_iteration == record.iterations:
        for name, value in weights.items():
            torch.testing.assert_close(averaged[f"student.{name}"], value)
    means = [name for name in weights if name.endswith("running_mean")]
    assert means
    assert not all(torch.equal(averaged[f"student.{name}"], last[f"module.student.{name}"]) for name in means)
