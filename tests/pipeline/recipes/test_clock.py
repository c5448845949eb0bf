"""A schedule by epochs, counted in iterations."""

from pathlib import Path

import pytest

from pipeline.recipes.clock import in_iterations
from pipeline.recipes.consistency import check_schedule
from pipeline.recipes.shape import check_shape
from tests.recipe_files import RECIPES, recipe_of

COCO = [path for path in RECIPES if path.stem.endswith("_coco")]


def test_every_point_in_epochs_becomes_one_in_iterations() -> None:
    warmup = {"type": "LinearLR", "by_epoch": False, "begin": 0, "end": 500}
    steps = {"type": "MultiStepLR", "by_epoch": True, "begin": 0, "end": 12, "milestones": [8, 11]}
    curve = {"type": "CosineAnnealingLR", "begin": 2, "T_max": 10}  # mmengine's default is by epochs
    config = {"train_cfg": {"max_epochs": 12, "val_interval": 2}, "param_scheduler": [warmup, steps, curve]}
    assert in_iterations(config, 30) == {
        "train_cfg": {"_delete_": True, "max_iters": 360, "val_interval": 60},
        "param_scheduler": [
            warmup,
            {**steps, "by_epoch": False, "end": 360, "milestones": [240, 330]},
            {**curve, "by_epoch": False, "begin": 60, "T_max": 300},
        ],
    }


@pytest.mark.parametrize("path", COCO, ids=lambda path: path.stem)
def test_every_recipe_by_epochs_is_a_valid_one_by_iterations(path: Path) -> None:
    config = recipe_of(path)
    epochs, interval = config.train_cfg.max_epochs, config.train_cfg.get("val_interval", 1)
    config.merge_from_dict(in_iterations(config.to_dict(), 1000))
    lengths = {key: value for key, value in config.train_cfg.items() if key != "dynamic_intervals"}
    assert lengths == {"max_iters": 1000 * epochs, "val_interval": 1000 * interval}
    check_shape(config.to_dict(), path)
    check_schedule(config.to_dict(), path, images=10)  # of which nothing depends on the images any more
    assert not any(one.get("by_epoch", True) for one in config.param_scheduler)
