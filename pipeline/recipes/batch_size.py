"""A recipe with another number of images in an iteration: what has to change with ``train_dataloader.batch_size``."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.recipes.length import at_length


def at_batch_size(config: Mapping[str, Any], batch_size: int) -> dict[str, Any]:
    """The options that put ``batch_size`` images into an iteration of each process.

    The learning rate follows by :func:`rate_for`, unless the recipe's ``auto_scale_lr`` scales it already. A recipe
    that counts iterations trains as many images as before, in fewer or more of them.

    Args:
        config: a recipe's configuration, whole.
        batch_size: images, at least 1.

    Returns:
        Overrides as ``options`` of ``params.yaml`` take them.
    """
    was = int(config["train_dataloader"]["batch_size"])
    options: dict[str, Any] = {"train_dataloader.batch_size": batch_size}
    if not scales_itself(config):
        optimizer = config["optim_wrapper"]["optimizer"]
        options |= at_learning_rate(config, rate_for(optimizer, batch_size / was))
    if iterations := config["train_cfg"].get("max_iters"):
        options |= at_length(_with_rates(config, options), max(1, round(iterations * was / batch_size)))
    return options


def scales_itself(config: Mapping[str, Any]) -> bool:
    """Whether a recipe multiplies its learning rate by the real batch (``auto_scale_lr``)."""
    return bool((config.get("auto_scale_lr") or {}).get("enable", False))


def rate_for(optimizer: Mapping[str, Any], times: float) -> float:
    """The learning rate for ``times`` as many images in a step.

    In proportion for SGD (Goyal et al., arXiv 1706.02677), by the square root for the Adam family (Malladi et al.,
    arXiv 2205.10287).
    """
    adaptive = "adam" in str(optimizer["type"]).lower()
    return float(optimizer["lr"]) * (math.sqrt(times) if adaptive else times)


def at_learning_rate(config: Mapping[str, Any], rate: float) -> dict[str, Any]:
    """The options that set the learning rate, with the rate that curves of the schedule end at in proportion.

    It is the rate itself: a recipe's ``auto_scale_lr``, which would multiply it, is switched off.

    Args:
        config: a recipe's configuration, whole.
        rate: of the optimizer, above 0.
    """
    times = rate / float(config["optim_wrapper"]["optimizer"]["lr"])
    listed = config["param_scheduler"]
    schedulers = listed if isinstance(listed, list | tuple) else [listed]
    scaled = [dict(_scaled(one, times)) for one in schedulers]
    options: dict[str, Any] = {"optim_wrapper.optimizer.lr": rate}
    if scales_itself(config):
        options["auto_scale_lr.enable"] = False
    return options | ({"param_scheduler": scaled} if scaled != [dict(one) for one in schedulers] else {})


def _scaled(scheduler: Mapping[str, Any], times: float) -> Iterator[tuple[str, Any]]:
    for key, value in scheduler.items():
        yield key, value * times if key == "eta_min" and value else value


def _with_rates(config: Mapping[str, Any], options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**config, "param_scheduler": options.get("param_scheduler", config["param_scheduler"])}
