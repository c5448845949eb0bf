"""How many iterations a recipe trains, and its schedule in iterations where it is written in epochs."""

import math
from collections.abc import Mapping
from typing import Any

from pipeline.recipes.hook_clocks import counted_hook, hooks_of
from pipeline.recipes.nested_datasets import repeats

_POINTS = ("begin", "end", "T_max")


def epoch_of(config: Mapping[str, Any], images: int) -> int:
    """Iterations of an epoch over so many images, each as often as the data set repeats it, in one process."""
    loader = config["train_dataloader"]
    return math.ceil(images * repeats(loader["dataset"]) / loader["batch_size"])


def iterations_of(config: Mapping[str, Any], images: int) -> int:
    """Iterations of the whole training, in one process."""
    loop = config["train_cfg"]
    return int(loop["max_epochs"]) * epoch_of(config, images) if counts_epochs(config) else int(loop["max_iters"])


def counts_epochs(config: Mapping[str, Any]) -> bool:
    """Whether the training's length is given in epochs."""
    return bool(config["train_cfg"].get("max_epochs"))


def in_iterations(config: Mapping[str, Any], epoch: int) -> dict[str, Any]:
    """The options that make a recipe by epochs count iterations, each at the same place of the training.

    mmengine's own conversion (``convert_to_iter_based``) does the same as the training begins, where the number of
    epochs can no longer be changed to a length between two of them.

    Args:
        config: a recipe's configuration, whole, with ``train_cfg.max_epochs``.
        epoch: iterations of an epoch, on the data set that it is trained on.

    Returns:
        Overrides as ``options`` of ``params.yaml`` take them, with whole sections in the place of old ones.
    """
    loop = config["train_cfg"]
    epochs = int(loop["max_epochs"])
    counted: dict[str, Any] = {"max_iters": epochs * epoch, "val_interval": int(loop.get("val_interval", 1)) * epoch}
    if changes := loop.get("dynamic_intervals"):
        # mmengine looks one step ahead in either unit.
        counted["dynamic_intervals"] = [((at - 1) * epoch + 1 if at else 0, every * epoch) for at, every in changes]
    listed = config["param_scheduler"]
    schedulers = listed if isinstance(listed, list | tuple) else [listed]
    options: dict[str, Any] = {
        "train_cfg": {"_delete_": True, **counted},
        "param_scheduler": [_counted(one, epoch) if one.get("by_epoch", True) else dict(one) for one in schedulers],
    }
    if hooks := hooks_of(config):
        options["custom_hooks"] = [counted_hook(hook, epoch, epochs) for hook in hooks]
    return options


def _counted(scheduler: Mapping[str, Any], epoch: int) -> dict[str, Any]:
    counted = {key: value for key, value in scheduler.items() if key != "convert_to_iter_based"} | {"by_epoch": False}
    counted |= {key: scheduler[key] * epoch for key in _POINTS if scheduler.get(key) is not None}
    if "milestones" in scheduler:
        counted["milestones"] = [point * epoch for point in scheduler["milestones"]]
    return counted
