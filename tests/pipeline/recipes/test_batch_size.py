"""A recipe with another batch, and with another learning rate."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.recipes.batch_size import at_batch_size, at_learning_rate, rate_for
from pipeline.recipes.consistency import check_schedule
from pipeline.recipes.shape import check_shape
from tests.recipe_files import RECIPES, recipe_of


def recipe(kind: str = "SGD", **more: Any) -> dict[str, Any]:
    return {
        "optim_wrapper": {"optimizer": {"type": kind, "lr": 0.01}},
        "param_scheduler": [
            {"type": "CosineAnnealingLR", "by_epoch": False, "T_max": 400, "end": 400, "eta_min": 1e-4}
        ],
        "train_cfg": {"max_iters": 400, "val_interval": 100},
        "train_dataloader": {"batch_size": 8},
        **more,
    }


@pytest.mark.parametrize(("kind", "rate"), [("SGD", 0.04), ("AdamW", 0.02), ("mmengine.Adam", 0.02)])
def test_the_rate_follows_the_batch_by_the_rule_of_its_optimizer(kind: str, rate: float) -> None:
    assert rate_for({"type": kind, "lr": 0.01}, 4) == pytest.approx(rate)


def test_a_larger_batch_sees_as_many_images_in_fewer_iterations() -> None:
    found = at_batch_size(recipe(), 16)
    assert found["train_dataloader.batch_size"] == 16
    assert found["optim_wrapper.optimizer.lr"] == pytest.approx(0.02)
    assert (found["train_cfg.max_iters"], found["train_cfg.val_interval"]) == (200, 50)
    curve = found["param_scheduler"][0]
    assert (curve["T_max"], curve["end"]) == (200, 200)
    assert curve["eta_min"] == pytest.approx(2e-4)


def test_a_recipe_by_epochs_keeps_its_epochs() -> None:
    found = at_batch_size(recipe(train_cfg={"max_epochs": 12}, param_scheduler=[{"type": "StepLR", "end": 12}]), 4)
    assert found == {"train_dataloader.batch_size": 4, "optim_wrapper.optimizer.lr": pytest.approx(0.005)}


def test_a_recipe_that_scales_its_rate_itself_is_left_to_it() -> None:
    found = at_batch_size(recipe(auto_scale_lr={"enable": True, "base_batch_size": 16}), 16)
    assert "optim_wrapper.optimizer.lr" not in found


def test_a_learning_rate_takes_the_end_of_its_curves_along() -> None:
    found = at_learning_rate(recipe(), 0.005)
    assert found["optim_wrapper.optimizer.lr"] == 0.005
    assert found["param_scheduler"][0]["eta_min"] == pytest.approx(5e-5)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
@pytest.mark.parametrize("times", [0.5, 1, 4])
def test_every_recipe_stays_consistent_and_its_own_batch_changes_nothing(path: Path, times: float) -> None:
    config = recipe_of(path)
    before = config.to_dict()
    config.merge_from_dict(at_batch_size(before, max(1, int(times * config.train_dataloader.batch_size))))
    after = config.to_dict()
    check_shape(after, path)
    check_schedule(after, path, images=120_000)
    if times == 1:
        assert {key: after[key] for key in before} == before
