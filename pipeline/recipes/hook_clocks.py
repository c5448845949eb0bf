"""Hooks of a recipe that act from a point of the training on, or for its last stretch.

mmengine and mmdet let most of them count epochs alone. A recipe that counts iterations has no epochs, so each has a key
in iterations here; ``begin_iter`` is mmengine's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.recipes.nested_datasets import type_of

Hook = Mapping[str, Any]


@dataclass(frozen=True)
class HookClock:
    """Where a kind of hook has its point.

    Attributes:
        epochs, iterations: the key in each unit.
        default: what it is without a key, in epochs; none where it then does not depend on the clock.
        reach: how far before the end, in its own unit, the point has to be to have any effect.
    """

    epochs: str
    iterations: str
    default: int | None = None
    reach: int = 0


CLOCKS = {
    "PipelineSwitchHook": HookClock("switch_epoch", "switch_iter", reach=1),
    "YOLOXModeSwitchHook": HookClock("num_last_epochs", "num_last_iters", default=15),
    "EMAHook": HookClock("begin_epoch", "begin_iter"),
}


def hooks_of(config: Mapping[str, Any]) -> list[Hook]:
    """A recipe's ``custom_hooks``."""
    return list(config.get("custom_hooks") or [])


def points_of(hook: Hook) -> Iterator[tuple[str, int, bool, int]]:
    """Of a hook its key, the point, whether that counts epochs, and how far before the end it has to be."""
    if (clock := CLOCKS.get(type_of(hook))) is None:
        return
    if hook.get(clock.iterations) is not None and not hook.get(clock.epochs):
        yield clock.iterations, int(hook[clock.iterations]), False, clock.reach
    elif (value := hook.get(clock.epochs, clock.default)) is not None:
        yield clock.epochs, int(value), True, clock.reach


def scaled_points(hooks: list[Hook], times: float, length: int, epochs: bool) -> Iterator[tuple[str, int]]:
    """Each point at the same place of a training of another length, by its dotted key below ``custom_hooks``.

    Args:
        hooks: of the recipe.
        times: as long as it was.
        length: of the training, in the unit that it counts in.
        epochs: whether that is epochs.
    """
    for index, hook in enumerate(hooks):
        for key, value, by_epoch, reach in points_of(hook):
            moved = max(1, round(value * times)) if value else 0
            yield f"{index}.{key}", min(moved, length - reach) if by_epoch == epochs else moved


def counted_hook(hook: Hook, epoch: int, epochs: int) -> dict[str, Any]:
    """A hook with its point counted in iterations.

    Args:
        hook: of a recipe by epochs.
        epoch: iterations of an epoch.
        epochs: of the training.
    """
    for key, value, by_epoch, _ in points_of(hook):
        if by_epoch:
            clock = CLOCKS[type_of(hook)]
            rest = {name: content for name, content in hook.items() if name not in (key, clock.iterations)}
            return {**rest, clock.iterations: _iterations(type_of(hook), value, epoch, epochs)}
    return dict(hook)


def _iterations(kind: str, value: int, epoch: int, epochs: int) -> int:
    if kind == "EMAHook":  # counts from 1 in either unit, and 0 is always
        return (value - 1) * epoch + 1 if value else 0
    if kind == "YOLOXModeSwitchHook":
        return (epochs - last_epochs_begin(epochs, value)) * epoch
    return value * epoch


def last_epochs_begin(epochs: int, last: int) -> int:
    """The epoch, from 0, with which mmdet begins the last ones: one earlier than their number says."""
    return max(0, epochs - last - 1)
