"""What of a recipe's hooks this project does itself, because they act at the beginning of an epoch.

The loop here counts iterations, and images are loaded ahead of it: mmdet's hooks would act late, or never.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import Runner

from pipeline.errors import RecipeError
from pipeline.recipes.hook_clocks import hooks_of, last_epochs_begin, points_of
from pipeline.recipes.nested_datasets import MIXING, layers, type_of
from pipeline.training.hooks import distiller_of

_PIPELINE, _YOLOX = "PipelineSwitchHook", "YOLOXModeSwitchHook"
# The running statistics of batch norms are averaged over the processes before every validation anyway.
_DONE_ANYWAY = "SyncNormHook"
_MIXING_STEPS = ("Mosaic", "RandomAffine", "MixUp")
"""What ``YOLOXModeSwitchHook`` leaves out where it does not say."""


@dataclass(frozen=True)
class Switch:
    """A change in how images are made.

    Attributes:
        begin: the epoch, or the iteration, that it begins with, counted from 0 in the unit of the training.
        steps: that take the place of the outermost pipeline; none keeps it.
        skipped: types of steps that a ``MultiImageMixDataset`` leaves out.
        adds_l1: whether YOLOX's head adds its L1 loss from then on.
    """

    begin: int
    steps: Sequence[Mapping[str, Any]] | None = None
    skipped: tuple[str, ...] = ()
    adds_l1: bool = False


def switches_of(config: Mapping[str, Any], path: Path) -> list[Switch]:
    """A recipe's switches, in the order in which they come.

    Raises:
        RecipeError: one has no point on the clock of the training, no steps, or nothing that it could leave out.
    """
    found = [_switch(hook, config, path) for hook in hooks_of(config) if type_of(hook) in (_PIPELINE, _YOLOX)]
    return sorted(found, key=lambda switch: switch.begin)


def is_done_here(hook: Mapping[str, Any]) -> bool:
    """Whether a hook of a recipe is not for mmengine's Runner."""
    return type_of(hook) in (_PIPELINE, _YOLOX, _DONE_ANYWAY)


def other_hooks(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The hooks of a recipe for mmengine's Runner, which takes keys out of them."""
    return [deepcopy(dict(hook)) for hook in hooks_of(config) if not is_done_here(hook)]


def _switch(hook: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> Switch:
    loop, kind = config["train_cfg"], type_of(hook)
    epochs = int(loop.get("max_epochs") or 0)
    for _, value, by_epoch, _ in points_of(hook):
        if by_epoch != bool(epochs):
            break
        if kind == _PIPELINE:
            if not hook.get("switch_pipeline"):
                raise RecipeError(f"{path}: {kind} needs a switch_pipeline")
            return Switch(value, steps=hook["switch_pipeline"])
        if all(type_of(layer) != MIXING for layer in layers(config["train_dataloader"]["dataset"])):
            raise RecipeError(f"{path}: {kind} leaves out steps of a {MIXING}, which train_dataloader.dataset is not")
        begin = last_epochs_begin(epochs, value) if by_epoch else max(0, int(loop["max_iters"]) - value)
        return Switch(begin, skipped=tuple(hook.get("skip_type_keys", _MIXING_STEPS)), adds_l1=True)
    raise RecipeError(
        f"{path}: {kind} says in {'epochs' if epochs else 'iterations'}, as train_cfg counts, when it acts: give "
        + {
            (_PIPELINE, True): "switch_epoch",
            (_PIPELINE, False): "switch_iter",
            (_YOLOX, True): "num_last_epochs",
            (_YOLOX, False): "num_last_iters",
        }[kind, bool(epochs)]
    )


class AddedLossHook(Hook):
    """Lets YOLOX's head add its L1 loss from a point of the training on, also in one that goes on after it.

    Args:
        begin: the epoch or iteration, in the unit of the training.
    """

    def __init__(self, begin: int) -> None:
        self._begin = begin

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        head: Any = getattr(distiller_of(runner).student, "bbox_head", None)
        if hasattr(head, "use_l1"):
            head.use_l1 = runner.iter >= self._begin * runner.train_loop.unit
