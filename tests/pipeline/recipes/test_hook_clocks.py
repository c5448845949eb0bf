"""Hooks that act from a point on, at other lengths and in iterations."""

from pathlib import Path
from typing import Any

import mmdet
import pytest

from pipeline.errors import RecipeError
from pipeline.recipes import read_recipe
from pipeline.recipes.clock import in_iterations
from pipeline.recipes.consistency import check_schedule
from pipeline.recipes.length import at_length
from pipeline.training.switches import Switch, switches_of
from pipeline.training.validation_times import ValidationTimes

ZOO = Path(mmdet.__path__[0]) / ".mim/configs"
RTMDET, YOLOX = ZOO / "rtmdet/rtmdet_s_8xb32-300e_coco.py", ZOO / "yolox/yolox_s_8xb8-300e_coco.py"
EPOCH = 7


def at(path: Path, length: int | None = None, iterations: bool = False) -> dict[str, Any]:
    """A configuration at a length in epochs, or counted in iterations."""
    config = read_recipe(path)
    if iterations:
        config.merge_from_dict(in_iterations(config.to_dict(), EPOCH))
    if length:
        config.merge_from_dict(at_length(config.to_dict(), length, 1000))
    return config.to_dict()


def points(config: dict[str, Any]) -> list[int]:
    return [switch.begin for switch in switches_of(config, Path("r.py"))]


def test_both_begin_their_last_stage_where_mmdet_does() -> None:
    assert points(at(RTMDET)) == [280]
    # epoch + 1 >= max_epochs - num_last_epochs, with epochs from 0
    (switch,) = switches_of(at(YOLOX), YOLOX)
    assert switch == Switch(284, skipped=("Mosaic", "RandomAffine", "MixUp"), adds_l1=True)


@pytest.mark.parametrize(
    ("length", "rtmdet", "interval", "yolox", "warmup", "curve"),
    [(300, 280, 10, 284, 5, (5, 285)), (30, 28, 1, 27, 5, (5, 29)), (600, 560, 20, 569, 5, (5, 570))],
)
def test_all_keeps_its_place_at_another_length(
    length: int, rtmdet: int, interval: int, yolox: int, warmup: int, curve: tuple[int, int]
) -> None:
    found, other = at(RTMDET, length), at(YOLOX, length)
    assert found["train_cfg"]["dynamic_intervals"] == [(rtmdet, max(1, length // 300))]
    assert (points(found), found["train_cfg"]["val_interval"], points(other)) == ([rtmdet], interval, [yolox])
    assert other["param_scheduler"][0]["end"] == warmup
    assert (other["param_scheduler"][1]["begin"], other["param_scheduler"][1]["end"]) == curve
    for config in (found, other):
        check_schedule(config, "r.py", images=8 * 32 * 1000)


@pytest.mark.parametrize("path", [RTMDET, YOLOX])
def test_its_own_length_changes_nothing(path: Path) -> None:
    assert at(path, 300) == at(path)


@pytest.mark.parametrize("length", [1, 2, 3, 7])
@pytest.mark.parametrize("path", [RTMDET, YOLOX])
@pytest.mark.parametrize("iterations", [True, False])
def test_a_short_training_is_a_valid_one(path: Path, length: int, iterations: bool) -> None:
    config = at(path, length, iterations)
    check_schedule(config, path, images=8 * 32 * 1000)
    assert all(0 <= begin <= length for begin in points(config))


@pytest.mark.parametrize("path", [RTMDET, YOLOX])
def test_in_iterations_all_happens_at_the_same_time(path: Path) -> None:
    epochs, counted = at(path), at(path, iterations=True)
    assert points(counted) == [EPOCH * begin for begin in points(epochs)]
    assert counted["train_cfg"]["max_iters"] == 300 * EPOCH
    first, second = (times(config["train_cfg"], unit) for config, unit in ((epochs, EPOCH), (counted, 1)))
    assert [first.has(at) for at in range(1, 300 * EPOCH + 1)] == [second.has(at) for at in range(1, 300 * EPOCH + 1)]
    check_schedule(counted, path, images=1)


def times(loop: dict[str, Any], unit: int) -> ValidationTimes:
    last = loop.get("max_epochs") or loop["max_iters"]
    return ValidationTimes(loop["val_interval"], loop.get("dynamic_intervals") or (), last, unit)


def test_an_average_begins_in_the_same_iteration() -> None:
    config = {
        "train_cfg": {"max_epochs": 4},
        "param_scheduler": [],
        "custom_hooks": [{"type": "EMAHook", "begin_epoch": 3}],
    }
    # mmengine's: epoch + 1 >= begin_epoch, iteration + 1 >= begin_iter, both from 0
    assert in_iterations(config, EPOCH)["custom_hooks"] == [{"type": "EMAHook", "begin_iter": 2 * EPOCH + 1}]


LOOP = {"max_epochs": 12}


@pytest.mark.parametrize(
    ("loop", "hook", "told"),
    [
        (LOOP, {"type": "PipelineSwitchHook", "switch_epoch": 12}, "0.switch_epoch is 12 .*the training has 12 epochs"),
        (LOOP, {"type": "PipelineSwitchHook", "switch_iter": 3}, "counts epochs; give switch_epoch"),
        ({"max_iters": 9}, {"type": "mmdet.PipelineSwitchHook", "switch_epoch": 3}, "iterations; give switch_iter"),
        ({"max_iters": 9}, {"type": "YOLOXModeSwitchHook"}, "num_last_epochs is 15 .*give num_last_iters"),
        (LOOP, {"type": "YOLOXModeSwitchHook"}, "num_last_epochs is 15 .*the training has 12 epochs"),
        (LOOP, {"type": "EMAHook", "begin_epoch": 13}, "begin_epoch is 13 .*the training has 12 epochs"),
    ],
)
def test_what_would_never_happen_is_told(loop: dict[str, Any], hook: dict[str, Any], told: str) -> None:
    loader = {"batch_size": 2, "dataset": {"type": "CocoDataset"}}
    config = {"train_cfg": loop, "param_scheduler": [], "custom_hooks": [hook], "train_dataloader": loader}
    with pytest.raises(RecipeError, match=told):
        check_schedule(config, "r.py", images=100)


@pytest.mark.parametrize(
    ("hook", "told"),
    [
        ({"type": "PipelineSwitchHook", "switch_pipeline": []}, "give switch_epoch"),
        ({"type": "PipelineSwitchHook", "switch_epoch": 3}, "needs a switch_pipeline"),
        ({"type": "YOLOXModeSwitchHook", "num_last_epochs": 3}, "which train_dataloader.dataset is not"),
    ],
)
def test_a_switch_that_says_too_little_is_told(hook: dict[str, Any], told: str) -> None:
    config = {"train_cfg": LOOP, "custom_hooks": [hook], "train_dataloader": {"dataset": {"type": "CocoDataset"}}}
    with pytest.raises(RecipeError, match=rf"r\.py: .*{told}"):
        switches_of(config, Path("r.py"))
