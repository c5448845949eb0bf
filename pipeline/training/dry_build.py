"""Everything that a training builds from a recipe, built once without data and thrown away.

So a recipe that cannot be trained is told before anything is: a student's head or method would otherwise be found out
after the teacher has trained for hours.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS, TRANSFORMS
from mmengine.config import ConfigDict
from mmengine.hooks import EMAHook
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, PARAM_SCHEDULERS
from mmengine.runner import get_priority
from torch import nn

from pipeline.detectors.class_layers import class_layers
from pipeline.distillers import build_methods, build_schedule
from pipeline.errors import RecipeError
from pipeline.recipes import Recipe, build_detector
from pipeline.recipes.hook_clocks import hooks_of
from pipeline.recipes.nested_datasets import steps_of
from pipeline.recipes.shape import reason
from pipeline.training.backbone import weights_of
from pipeline.training.batch import scaling_of
from pipeline.training.runner import scheduler_configs, wrapper_config
from pipeline.training.switches import is_done_here, switches_of


def build_once(recipe: Recipe, teacher: BaseDetector | None) -> BaseDetector:
    """Build detector, methods, optimizer, schedule, hooks and transforms of a recipe; nothing is fetched or trained.

    Args:
        teacher: what a recipe with methods is distilled from.

    Returns:
        the detector, with random weights.

    Raises:
        RecipeError: names the file and the part that cannot be built.
    """
    config, path = recipe.config, recipe.path
    MMLogger.get_current_instance().setLevel("ERROR")  # it lists each parameter with a rule of its own
    with named(path, "model"):
        detector = build_detector(recipe)
    distillation = config.get("distillation") or {}
    if distillation and teacher is not None:
        with named(path, "distillation"):
            build_methods(distillation.get("methods", []), detector, teacher)
            build_schedule(distillation.get("schedule", {}))
    with named(path, "auto_scale_lr"):
        scaling_of(config)
    if source := config.get("backbone_weights"):
        with named(path, "backbone_weights"):
            weights_of(source)
    if recipe.init is not None:
        with named(path, "init"):
            class_layers(detector)
    _build_schedule_of_rates(recipe, detector)
    switches_of(config, path)
    for index, hook in enumerate(hooks_of(config)):
        with named(path, f"custom_hooks.{index}"):
            _build_hook(hook)
    for loader in ("train_dataloader", "val_dataloader"):
        for key, step in steps_of(config[loader].dataset):
            with named(path, f"{loader}.dataset.{key}"):
                TRANSFORMS.build(ConfigDict(step))
    return detector


def _build_hook(hook: Mapping[str, Any]) -> None:
    alone = ConfigDict(hook)
    get_priority(alone.pop("priority", "NORMAL"))
    for step in alone.get("switch_pipeline") or []:
        TRANSFORMS.build(ConfigDict(step))
    if not is_done_here(hook):
        built = HOOKS.build(alone)
        if isinstance(built, EMAHook):
            MODELS.build({**built.ema_cfg, "model": nn.Identity()})


def _build_schedule_of_rates(recipe: Recipe, detector: BaseDetector) -> None:
    with named(recipe.path, "optim_wrapper"):
        wrapper = build_optim_wrapper(detector, wrapper_config(recipe, torch.device("cpu"), "fp32"))
    with named(recipe.path, "param_scheduler"):
        schedulers = scheduler_configs(recipe)
    for index, scheduler in enumerate(schedulers):
        # Conversion from epochs needs the number of batches, which the data set has.
        alone = {key: value for key, value in scheduler.items() if key != "convert_to_iter_based"}
        with named(recipe.path, f"param_scheduler.{index}"):
            PARAM_SCHEDULERS.build(ConfigDict(alone), default_args={"optimizer": wrapper})


@contextmanager
def named(path: Path, part: str) -> Iterator[None]:
    """Name the recipe and the part of it in what third parties raise, and in what this project does."""
    try:
        yield
    except RecipeError as error:
        if str(path) in str(error):
            raise
        raise RecipeError(f"{path}: {error}") from error
    except Exception as error:  # a recipe's values reach constructors of mmdet, mmengine, mmcv and torch
        raise RecipeError(f"{path}: {part} cannot be built: {reason(error)}") from error
