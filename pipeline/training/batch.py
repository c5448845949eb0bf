"""How many images an iteration sees over all processes, and the learning rate that belongs to them."""

import logging
from collections.abc import Mapping
from typing import Any

from pipeline.errors import RecipeError
from pipeline.recipes import Recipe

logger = logging.getLogger(__name__)


def images_per_iteration(config: Mapping[str, Any], processes: int) -> int:
    """Images that all processes together see in one iteration."""
    return int(config["train_dataloader"]["batch_size"]) * processes


def scaling_of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """The recipe's ``auto_scale_lr`` as mmengine's Runner reads it, or none where it is off.

    The linear rule (Goyal et al., arXiv 1706.02677): the learning rate is multiplied by the images of an optimizer step
    over ``base_batch_size``, those that the recipe's rate was chosen for. mmengine does not count the iterations that
    are accumulated into a step, so they are put into the base here.

    Raises:
        RecipeError: it is on, and ``base_batch_size`` is missing or no positive number.
    """
    rule = config.get("auto_scale_lr") or {}
    if not rule.get("enable", False):
        return None
    base = rule.get("base_batch_size")
    if not isinstance(base, int | float) or base <= 0:
        raise RecipeError(
            f"auto_scale_lr.base_batch_size is {base!r}; give the images of a step that the recipe's rate is meant for"
        )
    return {"enable": True, "base_batch_size": base / _accumulated(config)}


def learning_rate(config: Mapping[str, Any], processes: int) -> float:
    """The learning rate that a training has in the end, for its real batch; raises as :func:`scaling_of`."""
    rule = scaling_of(config)
    factor = images_per_iteration(config, processes) / rule["base_batch_size"] if rule else 1.0
    return float(config["optim_wrapper"]["optimizer"]["lr"] * factor)


def announce_learning_rate(recipe: Recipe, processes: int) -> None:
    """Say what the learning rate becomes for the real batch, or that it stays where several processes share the work.

    Raises:
        RecipeError: as :func:`scaling_of`.
    """
    config = recipe.config
    rate = config.optim_wrapper.optimizer.lr
    step = images_per_iteration(config, processes) * _accumulated(config)
    if scaling_of(config) is None:
        if processes > 1:
            logger.warning(
                "%s: %d processes make steps of %d images, and the learning rate stays %g: the recipe scales it only "
                "with `auto_scale_lr=dict(enable=True, base_batch_size=...)`",
                *(recipe.name, processes, step, rate),
            )
        return
    factor = step / config.auto_scale_lr.base_batch_size
    logger.info(
        "%s: learning rate %g x %g = %g, for steps of %d images",
        *(recipe.name, rate, factor, rate * factor, step),
    )
    if factor != 1 and "max_iters" in config.train_cfg:
        logger.warning(
            "%s: the recipe's iterations are for steps of %g images, so its %d see %g times as many images; for the "
            "same number divide train_cfg, param_scheduler and distillation.schedule by that",
            *(recipe.name, config.auto_scale_lr.base_batch_size, config.train_cfg.max_iters, factor),
        )


def _accumulated(config: Mapping[str, Any]) -> int:
    return int(config["optim_wrapper"].get("accumulative_counts", 1))
