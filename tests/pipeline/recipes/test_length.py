"""A recipe at another length."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.distillers.schedule import WeightSchedule
from pipeline.recipes.consistency import check_schedule
from pipeline.recipes.length import at_length
from pipeline.recipes.shape import check_shape
from tests.recipe_files import STUDENTS, recipe_of


def iterations(last: int = 500, warmup: int = 100, **more: Any) -> dict[str, Any]:
    return {
        "train_cfg": {"max_iters": last, "val_interval": last // 2},
        "param_scheduler": [
            {"type": "LinearLR", "by_epoch": False, "begin": 0, "end": warmup},
            {"type": "CosineAnnealingLR", "by_epoch": False, "begin": warmup, "T_max": last - warmup, "end": last},
        ],
        **more,
    }


def test_a_longer_training_keeps_its_warm_up_and_stretches_the_rest() -> None:
    schedule = {"warmup": 0, "decay_begin": 250, "decay_end": 400}
    assert at_length(iterations(distillation={"schedule": schedule}), 1500) == {
        "train_cfg.max_iters": 1500,
        "train_cfg.val_interval": 750,
        "param_scheduler": iterations(1500)["param_scheduler"],
        "distillation.schedule.warmup": 0,
        "distillation.schedule.decay_begin": 750,
        "distillation.schedule.decay_end": 1200,
    }


def test_a_training_shorter_than_its_warm_up_shortens_it() -> None:
    assert at_length(iterations(), 50)["param_scheduler"] == iterations(50, 10)["param_scheduler"]


@pytest.mark.parametrize("length", [1, 2, 3, 4, 7])
def test_a_training_of_a_few_iterations_has_a_valid_schedule(length: int) -> None:
    path = Path("configs/students/cskd_gfl_mobilenetv2_r18w16_embedded.py")
    config = recipe_of(path)
    config.merge_from_dict(at_length(config.to_dict(), length))
    check_shape(config.to_dict(), path)
    check_schedule(config.to_dict(), path, images=100)
    WeightSchedule(**config.distillation.schedule)


def test_a_training_by_epochs_keeps_the_iterations_of_its_warm_up() -> None:
    warmup = {"type": "LinearLR", "by_epoch": False, "begin": 0, "end": 500}
    steps = {"type": "MultiStepLR", "by_epoch": True, "begin": 0, "end": 12, "milestones": [8, 11]}
    found = at_length({"train_cfg": {"max_epochs": 12}, "param_scheduler": [warmup, steps]}, 24)
    assert found["param_scheduler"] == [warmup, {**steps, "end": 24, "milestones": [16, 22]}]
    assert (found["train_cfg.max_epochs"], found["train_cfg.val_interval"]) == (24, 2)


@pytest.mark.parametrize(("length", "end"), [(24, 20_000), (6, 5_000), (1, 833)])
def test_a_curve_over_iterations_of_a_training_by_epochs_goes_with_its_length(length: int, end: int) -> None:
    warmup = {"type": "LinearLR", "by_epoch": False, "begin": 0, "end": 500}
    curve = {"type": "CosineAnnealingLR", "by_epoch": False, "begin": 500, "T_max": 9_500, "end": 10_000}
    found = at_length({"train_cfg": {"max_epochs": 12}, "param_scheduler": [warmup, curve]}, length)
    assert found["param_scheduler"] == [warmup, {**curve, "T_max": end - 500, "end": end}]


@pytest.mark.parametrize("path", STUDENTS, ids=lambda path: path.stem)
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_every_recipe_stays_consistent_and_its_own_length_changes_nothing(path: Path, factor: int) -> None:
    config = recipe_of(path)
    loop = config.train_cfg
    length = factor * (loop.get("max_epochs") or loop.max_iters)
    before = config.to_dict()
    config.merge_from_dict(at_length(before, length))
    after = config.to_dict()
    check_schedule(after, path, images=120_000)
    if factor == 1:
        assert after["param_scheduler"] == before["param_scheduler"]
        assert after.get("distillation") == before.get("distillation")
