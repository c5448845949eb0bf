"""Whether the images that cached transforms keep have room in memory: each process that loads them has its own."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mmdet.registry import TRANSFORMS
from mmengine.config import ConfigDict

from deploy.runtime.resources import memory_left
from pipeline.errors import TrainingError
from pipeline.recipes import Recipe
from pipeline.recipes.hook_clocks import hooks_of
from pipeline.recipes.nested_datasets import innermost
from pipeline.training.cached_images import has_cache
from pipeline.training.collectives import processes_here
from pipeline.training.draws import STREAMS
from pipeline.training.shared_memory import sizes_of

_CHANNELS = 3


def has_caches(recipe: Recipe) -> bool:
    """Whether a recipe's images meet such transforms."""
    return any(has_cache(step) for steps in _pipelines(recipe) for step in map(_built, steps))


def check_cache_memory(recipe: Recipe, images: Iterable[Any], workers: int) -> None:
    """Compare what the caches of a training come to hold with the memory that is left.

    Args:
        recipe: its steps decide.
        images: mmdet's entries of the train split, with ``width`` and ``height`` in pixels.
        workers: processes that load images for one that trains.

    Raises:
        TrainingError: too little is left.
    """
    pipelines = [steps for steps in _pipelines(recipe) if any(map(has_cache, map(_built, steps)))]
    if not pipelines:
        return
    pixels = [image["width"] * image["height"] for image in images]
    mean = _CHANNELS * sum(pixels) / max(1, len(pixels))
    needed = max(_bytes(steps, mean) for steps in pipelines) * caches_of(workers) * processes_here()
    left = memory_left()
    if left is not None and needed > left:
        raise TrainingError(
            f"{recipe.path}: the images that its cached transforms keep take about {needed / 1e9:.1f} GB in "
            f"{caches_of(workers)} caches, and {left / 1e9:.1f} GB of memory are left; lower their max_cached_images, "
            "or cut the pictures into smaller ones"
        )


def caches_of(workers: int) -> int:
    """How many caches there come to be: one for each stream of draws in every process that loads some of it."""
    return math.lcm(max(1, workers), STREAMS)


def _pipelines(recipe: Recipe) -> Iterator[Sequence[Mapping[str, Any]]]:
    yield innermost(recipe.config.train_dataloader.dataset).get("pipeline") or []
    for hook in hooks_of(recipe.config):
        yield hook.get("switch_pipeline") or []


def _built(step: Mapping[str, Any]) -> Any:
    return TRANSFORMS.build(ConfigDict(step))


def _bytes(steps: Sequence[Mapping[str, Any]], image: float) -> float:
    """What one cache of each step holds; ``image`` is the size of one as it is loaded."""
    held = 0.0
    for step in steps:
        transform = _built(step)
        if has_cache(transform):
            held += transform.max_cached_images * image
        elif sizes := [*sizes_of(step)]:
            image = _CHANNELS * max(height * width for height, width in sizes)
    return held
