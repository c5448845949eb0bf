"""What loaders need in /dev/shm is compared beforehand, and a loader that dies is told with its cure."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mmengine.config import Config

from pipeline.errors import TrainingError
from pipeline.recipes import Recipe
from pipeline.training.shared_memory import check_shared_memory, dead_workers_named, largest_image

COCO = [{"type": "LoadImageFromFile"}, {"type": "RandomResize", "scale": [(1333, 640), (1333, 800)]}]


def recipe(steps: list[dict[str, Any]], batch: int = 8, size: tuple[int, int] = (256, 256)) -> Recipe:
    config = Config({"train_dataloader": {"batch_size": batch, "dataset": {"pipeline": steps}}})
    return cast(Recipe, SimpleNamespace(config=config, input_size=size))


@pytest.mark.parametrize(
    ("steps", "pixels"),
    [
        ([], 256 * 256),
        (COCO, 1333 * 800),
        ([{"type": "Resize", "scale": (1333, 800)}], 1333 * 800),
        ([{"type": "Resize", "scale": 512}], 256 * 256),
        ([{"type": "RandomCrop", "crop_size": (0.3, 0.6)}], 256 * 256),
        ([{"type": "Resize", "scale": (1280, 1280)}, {"type": "RandomCrop", "crop_size": (640, 640)}], 640 * 640),
        ([{"type": "RandomCrop", "crop_size": (320, 320)}, {"type": "Pad", "size": (512, 512)}], 512 * 512),
    ],
)
def test_the_largest_image_of_a_recipe(steps: list[dict[str, Any]], pixels: int) -> None:
    assert largest_image(recipe(steps)) == 3 * pixels


def test_wrapped_data_sets_and_later_stages_have_steps_too() -> None:
    inner = {"type": "CocoDataset", "pipeline": [{"type": "LoadImageFromFile"}]}
    mixed = {"type": "MultiImageMixDataset", "dataset": inner, "pipeline": [{"type": "Pad", "size": (512, 512)}]}
    found = recipe([])
    found.config.train_dataloader.dataset = {"type": "RepeatDataset", "times": 2, "dataset": mixed}
    assert largest_image(found) == 3 * 512 * 512
    found.config.custom_hooks = [{"type": "PipelineSwitchHook", "switch_pipeline": COCO}]
    assert largest_image(found) == 3 * 1333 * 800


def free(monkeypatch: pytest.MonkeyPatch, megabytes: int) -> None:
    state = SimpleNamespace(f_bavail=megabytes * 1000, f_frsize=1000)
    monkeypatch.setattr(os, "statvfs", lambda _: state)


def test_dockers_64_mb_are_too_little_for_coco_and_enough_for_small_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 64)
    with pytest.raises(TrainingError, match=r"64 MB free, and train\.workers: 2 need about 256 MB .*--shm-size=2g"):
        check_shared_memory(recipe(COCO), 2, tmp_path)
    check_shared_memory(recipe([]), 2, tmp_path)
    check_shared_memory(recipe(COCO), 0, tmp_path)
    check_shared_memory(recipe(COCO, batch=1), 2, tmp_path)
    check_shared_memory(recipe(COCO), 2, tmp_path / "none")
    free(monkeypatch, 2000)
    check_shared_memory(recipe(COCO), 2, tmp_path)


def test_a_dead_worker_is_told_with_its_cure() -> None:
    said = "DataLoader worker (pid 17) is killed by signal: Bus error. It is possible that"
    with (
        pytest.raises(TrainingError, match=r"DataLoader worker \(pid 17\) is killed .*train\.workers: 0"),
        dead_workers_named(),
    ):
        raise RuntimeError(said)


def test_another_error_stays_itself() -> None:
    with pytest.raises(RuntimeError, match="CUDA out of memory"), dead_workers_named():
        raise RuntimeError("CUDA out of memory")
