"""A recipe at another size of pictures: what has to change with ``input_size``."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pipeline.errors import RecipeError
from pipeline.recipes.consistency import scales, scales_of
from pipeline.recipes.nested_datasets import steps_of
from pipeline.recipes.shape import sides_of

Sides = tuple[int, int]


def at_input_size(config: Mapping[str, Any], size: Sides, path: object) -> dict[str, Any]:
    """The options that train, evaluate and ship a detector at another size.

    The canvas is the size itself, what pictures are resized to in evaluation too; scales of the training's pipeline
    keep their ratio to that of the evaluation. The recipe's own size changes nothing.

    Args:
        config: a recipe's configuration, whole.
        size: height and width of the canvas in pixels.
        path: names the recipe in errors.

    Returns:
        Overrides as ``options`` of ``params.yaml`` take them.

    Raises:
        RecipeError: the size is no multiple of what the network pads to, or a pipeline sizes pictures by something
            else than the scales of its steps.
    """
    _check_divisor(config, size, path)
    if list(size) == list(config["input_size"]):
        return {}
    sized = {name: scales(name, config, path) for name in ("train_dataloader", "val_dataloader")}
    if unclear := [name for name, found in sized.items() if not found]:
        raise RecipeError(
            f"{path}: input_size: {' and '.join(f'{name}.dataset.pipeline' for name in unclear)} sizes pictures by "
            "something else than one Resize, RandomResize or RandomChoiceResize with a scale; change the recipe's "
            "pipelines and its input_size instead"
        )
    longer, shorter = max(size), min(size)
    was_longer, was_shorter = (sized["val_dataloader"] or [])[0][1]
    times = (longer / was_longer, shorter / was_shorter)
    options: dict[str, Any] = {"input_size": list(size)}
    for loader in sized:
        options |= _resized(f"{loader}.dataset", steps_of(config[loader]["dataset"]), times)
    return options


def _check_divisor(config: Mapping[str, Any], size: Sides, path: object) -> None:
    divisor = int(config["model"]["data_preprocessor"].get("pad_size_divisor", 1))
    if any(side % divisor for side in size):
        nearest = [max(divisor, divisor * math.floor(side / divisor + 0.5)) for side in size]
        raise RecipeError(
            f"{path}: input_size is {list(size)}, and the network takes multiples of {divisor}: {nearest} is nearest"
        )


def _resized(
    above: str, steps: Iterable[tuple[str, Mapping[str, Any]]], times: tuple[float, float]
) -> Iterator[tuple[str, Any]]:
    for name, step in steps:
        key, listed = scales_of(step)
        if not listed:
            continue
        moved = [_moved(scale, times) for scale in listed]
        # A single scale may stand without a list.
        single = step["type"] == "Resize"
        yield f"{above}.{name}.{key}", moved[0] if single else moved


def _moved(scale: Any, times: tuple[float, float]) -> tuple[int, int]:
    longer, shorter = sides_of(scale) or (0, 0)  # known to be one
    return max(1, round(longer * times[0])), max(1, round(shorter * times[1]))
