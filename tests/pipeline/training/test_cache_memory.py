"""Room for the images that cached transforms keep is looked for before a training."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from mmengine.config import Config

from pipeline.errors import TrainingError
from pipeline.recipes import Recipe
from pipeline.training import cache_memory
from pipeline.training.cache_memory import caches_of, check_cache_memory, has_caches

CACHED = [
    {"type": "LoadImageFromFile"},
    {"type": "CachedMosaic", "img_scale": (640, 640)},  # 40 images as they are loaded
    {"type": "RandomResize", "scale": (1280, 1280), "ratio_range": (0.1, 2.0), "keep_ratio": True},
    {"type": "RandomCrop", "crop_size": (640, 640)},
    {"type": "CachedMixUp", "img_scale": (640, 640), "max_cached_images": 10},  # 10 of 640 x 640
]
IMAGES = [{"width": 640, "height": 480}, {"width": 640, "height": 480}]


def recipe(steps: list[dict[str, Any]], **more: Any) -> Recipe:
    config = Config({"train_dataloader": {"dataset": {"type": "CocoDataset", "pipeline": steps}}, **more})
    return cast(Recipe, SimpleNamespace(config=config, path=Path("r.py")))


def test_what_caches_take_is_held_against_what_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 8 * 3 * (40 * 640 * 480 + 10 * 640 * 640)
    monkeypatch.setattr(cache_memory, "memory_left", lambda: needed)
    check_cache_memory(recipe(CACHED), IMAGES, workers=4)
    monkeypatch.setattr(cache_memory, "memory_left", lambda: needed - 1)
    with pytest.raises(
        TrainingError, match=r"r\.py: .*0\.4 GB in 8 caches, and 0\.4 GB .*lower their max_cached_images"
    ):
        check_cache_memory(recipe(CACHED), IMAGES, workers=4)
    check_cache_memory(recipe(CACHED[:1]), IMAGES, workers=4)
    monkeypatch.setattr(cache_memory, "memory_left", lambda: None)
    check_cache_memory(recipe(CACHED), IMAGES, workers=4)


def test_those_of_a_later_stage_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_memory, "memory_left", lambda: 1000)
    hooks = [{"type": "PipelineSwitchHook", "switch_epoch": 1, "switch_pipeline": CACHED}]
    later = recipe(CACHED[:1], custom_hooks=hooks)
    assert has_caches(later)
    with pytest.raises(TrainingError, match="caches"):
        check_cache_memory(later, IMAGES, workers=0)
    assert not has_caches(recipe(CACHED[:1]))


@pytest.mark.parametrize(("workers", "caches"), [(0, 8), (1, 8), (4, 8), (8, 8), (6, 24), (3, 24)])
def test_a_stream_has_a_cache_in_each_process_that_loads_some_of_it(workers: int, caches: int) -> None:
    assert caches_of(workers) == caches
