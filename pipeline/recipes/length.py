"""A recipe's schedule at another length: what has to change with ``train_cfg.max_iters`` or ``max_epochs``."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.recipes.hook_clocks import hooks_of, scaled_points
from pipeline.recipes.nested_datasets import type_of

_WARMUPS = tuple(
    f"{curve}{what}" for curve in ("Linear", "Constant", "QuadraticWarmup") for what in ("LR", "ParamScheduler")
)
_LONGEST_WARMUP = 0.2
"""Of a training, where it is so short that the recipe's own warm-up takes more."""


def at_length(config: Mapping[str, Any], length: int, epoch: int | None = None) -> dict[str, Any]:
    """The options that make a recipe's training ``length`` long, in the unit that it counts in.

    What lies on the training's clock keeps its place in proportion: the learning rate's steps and curves, the
    validations, what hooks do from a point on, and the schedule of the distillation. A warm-up, which steadies the
    first steps of the optimiser however many follow, keeps its own length, or a fifth of the training where that is
    less.

    Args:
        config: a recipe's configuration, whole.
        length: iterations, or epochs where ``train_cfg.max_epochs`` is set; at least 1.
        epoch: iterations of an epoch, by which a warm-up in iterations is held against a training in epochs; None
            leaves it as it is there.

    Returns:
        Overrides as ``options`` of ``params.yaml`` take them: dotted keys with their values.
    """
    loop = config["train_cfg"]
    unit = "max_epochs" if loop.get("max_epochs") else "max_iters"
    was = int(loop[unit])
    listed = config["param_scheduler"]
    schedulers = list(listed) if isinstance(listed, list | tuple) else [listed]
    options: dict[str, Any] = {f"train_cfg.{unit}": length, **_validations(loop, length, was)}
    options["param_scheduler"] = _schedulers(schedulers, was, length, unit == "max_epochs", epoch)
    points = scaled_points(hooks_of(config), length / was, length, unit == "max_epochs")
    options |= {f"custom_hooks.{key}": value for key, value in points}
    schedule = (config.get("distillation") or {}).get("schedule") or {}
    return options | {f"distillation.schedule.{key}": value for key, value in _distillation(schedule, length / was)}


def _validations(loop: Mapping[str, Any], length: int, was: int) -> dict[str, Any]:
    def every(interval: int) -> int:
        return min(max(1, round(interval * length / was)), length)

    options: dict[str, Any] = {"train_cfg.val_interval": every(int(loop.get("val_interval", 1)))}
    if changes := loop.get("dynamic_intervals"):
        options["train_cfg.dynamic_intervals"] = [
            (round(milestone * length / was), every(interval)) for milestone, interval in changes
        ]
    return options


def _distillation(schedule: Mapping[str, Any], times: float) -> Iterator[tuple[str, int]]:
    points = {key: int(times * value) for key, value in schedule.items() if isinstance(value, int)}
    if "decay_end" in points:
        points["decay_end"] = max(points["decay_end"], points.get("decay_begin", 0) + 1)
    yield from points.items()


def _schedulers(
    schedulers: list[Mapping[str, Any]], was: int, length: int, epochs: bool, epoch: int | None
) -> list[dict[str, Any]]:
    moved = []
    for by_epoch in (True, False):
        clock = [one for one in schedulers if bool(one.get("by_epoch", True)) == by_epoch]
        warmup = max((int(one["end"]) for one in clock if _is_warmup(one)), default=0)
        last: float = length
        if by_epoch == epochs:
            place = _moving(warmup, was, length)
        elif epoch:
            place, last = _moving(warmup, was * epoch, length * epoch), length * epoch
        else:
            place, last = _moving_iterations(warmup, length / was), math.inf
        moved += [(schedulers.index(one), dict(_moved(one, place, last))) for one in clock]
    # A warm-up that rounds to nothing is none.
    in_order = [scheduler for _, scheduler in sorted(moved, key=lambda each: each[0])]
    return [scheduler for scheduler in in_order if scheduler.get("end", 1) > scheduler.get("begin", 0)]


def _is_warmup(scheduler: Mapping[str, Any]) -> bool:
    return type_of(scheduler) in _WARMUPS and not scheduler.get("begin") and "end" in scheduler


def _moving(warmup: int, was: int, length: int) -> Callable[[int], int]:
    """Where a point of the old clock is on the new one: before and after the warm-up's end in proportion."""
    kept = min(warmup, int(_LONGEST_WARMUP * length))

    def place(point: int) -> int:
        if point <= warmup:
            return round(point * kept / warmup) if warmup else 0
        return kept + round((min(point, was) - warmup) * (length - kept) / (was - warmup)) if was > warmup else length

    return place


def _moving_iterations(warmup: int, times: float) -> Callable[[int], int]:
    """The same for iterations in a training by epochs, of which a recipe does not know how many there are."""
    return lambda point: point if point <= warmup else max(warmup, round(point * times))


def _moved(scheduler: Mapping[str, Any], place: Callable[[int], int], last: float) -> Iterator[tuple[str, Any]]:
    begin = int(scheduler.get("begin", 0))
    for key, value in scheduler.items():
        if key in ("begin", "end"):
            yield key, place(int(value))
        elif key == "T_max" and value is not None:
            yield key, place(begin + int(value)) - place(begin)
        elif key == "milestones":
            # One that rounds to the end has no effect.
            yield key, [moved for point in value if (moved := place(int(point))) < last]
        else:
            yield key, value
