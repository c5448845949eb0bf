"""What in a recipe must change together: sizes of pictures, and a schedule's length and what happens in it.

mmengine takes each on its own, so that an option which changes one alone trains at one size and ships another, or ends
before the warm-up does.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from deploy.runtime.errors import shown
from pipeline.errors import RecipeError
from pipeline.recipes.clock import iterations_of
from pipeline.recipes.hook_clocks import CLOCKS, hooks_of, points_of
from pipeline.recipes.nested_datasets import MIXING, READING, layers, steps_of, type_of
from pipeline.recipes.shape import sides_of

# Words in the names of other steps after which a picture may have any size.
_RESIZING = ("Mosaic", "MixUp", "Expand", "Crop", "Resize", "Scale", "Albu", "Choice")
_CACHING = ("CachedMosaic", "CachedMixUp")
Sides = tuple[int, int]


def check_whole(config: Mapping[str, Any], path: object, images: int) -> None:
    """All of the below; raises :class:`RecipeError` as they do."""
    check_sizes(config, path)
    check_schedule(config, path, images)
    check_caches(config, path)


def check_sizes(config: Mapping[str, Any], path: object) -> None:
    """Hold the canvas that ships against the sizes of pictures in training and validation.

    The canvas (``input_size``) is to have the sides of the test pipeline's ``Resize``, rounded up to the multiple that
    the data preprocessor pads to; that scale is to be within those of the training pipeline. A pipeline that sizes
    pictures in another way is not judged.

    Raises:
        RecipeError: names all of the keys, and their values.
    """
    _check_proportions(config, path)
    shipped = sorted(config["input_size"], reverse=True)
    train, val = (scales(loader, config, path) for loader in ("train_dataloader", "val_dataloader"))
    if val is None or len(val) != 1:
        return
    keys = ", ".join(dict.fromkeys(place for place, _ in (*(train or []), *val)))
    together = f"set input_size and {keys} together"
    (place, sides), *_ = val
    divisor = config["model"]["data_preprocessor"].get("pad_size_divisor", 1)
    if [math.ceil(side / divisor) * divisor for side in sides] != shipped:
        raise RecipeError(
            f"{path}: input_size is {list(config['input_size'])} (height, width), and {place} {list(sides)}: what "
            f"ships would see pictures of another size than those that weights are chosen on; {together}"
        )
    if train and not _within(sides, [each for _, each in train]):
        listed = ", ".join(f"{key} {list(each)}" for key, each in train)
        raise RecipeError(f"{path}: training resizes to {listed}, and evaluation to {place} {list(sides)}; {together}")


def _check_proportions(config: Mapping[str, Any], path: object) -> None:
    for index, step in enumerate(config["val_dataloader"]["dataset"].get("pipeline", [])):
        if step.get("type") == "Resize" and not step.get("keep_ratio", False):
            raise RecipeError(
                f"{path}: val_dataloader.dataset.pipeline.{index} (Resize) distorts pictures, and what ships keeps "
                "their proportions; set keep_ratio=True there, and in the training pipeline"
            )


def check_schedule(config: Mapping[str, Any], path: object, images: int) -> None:
    """Whether all that a recipe schedules happens before its training ends.

    Args:
        images: those of the train split; with a schedule by epochs they say how many iterations there are.

    Raises:
        RecipeError: lists every key that reaches beyond the end, with the end in its unit.
    """
    loop = config["train_cfg"]
    epochs = loop.get("max_epochs")
    iterations = iterations_of(config, images)
    findings = []
    schedulers = config["param_scheduler"]
    for index, scheduler in enumerate(schedulers if isinstance(schedulers, list | tuple) else [schedulers]):
        by_epoch = scheduler.get("by_epoch", True)
        if by_epoch and not epochs:
            continue  # an error of its own (pipeline.training.runner)
        end, unit = (epochs, "epochs") if by_epoch else (iterations, "iterations")
        kind = scheduler["type"]
        findings += [
            f"  param_scheduler.{index}.{key} is {value} ({kind}), and the training has {end} {unit}"
            for key, value, limit in _points(scheduler, end)
            if value > limit
        ]
    findings += _other_points(config, epochs, iterations)
    if findings:
        length = "train_cfg.max_epochs" if epochs else "train_cfg.max_iters"
        raise RecipeError(
            f"{path}: these would not be reached; set them with {length}, in the recipe or under `options`:\n"
            + "\n".join(findings)
        )


def _other_points(config: Mapping[str, Any], epochs: int | None, iterations: int) -> Iterator[str]:
    """What of validations, hooks and distillation lies beyond the end, or on another clock than the training's."""
    length, unit = (epochs, "epochs") if epochs else (iterations, "iterations")
    for index, (milestone, _) in enumerate(config["train_cfg"].get("dynamic_intervals") or []):
        if milestone > length:
            yield f"  train_cfg.dynamic_intervals.{index} begins at {milestone}, and the training has {length} {unit}"
    for index, hook in enumerate(hooks_of(config)):
        kind = type_of(hook)
        for key, value, by_epoch, reach in points_of(hook):
            place, last = f"custom_hooks.{index}.{key} is {value} ({kind})", epochs if by_epoch else iterations
            if by_epoch and not epochs:
                yield f"  {place}, and train_cfg counts iterations; give {CLOCKS[kind].iterations}"
            elif not by_epoch and epochs and kind != "EMAHook":
                yield f"  {place}, and train_cfg counts epochs; give {CLOCKS[kind].epochs}"
            elif value > (last or 0) - reach:
                yield f"  {place}, and the training has {last} {'epochs' if by_epoch else 'iterations'}"
    for key, value in (config.get("distillation") or {}).get("schedule", {}).items():
        if isinstance(value, int) and value > iterations:
            yield f"  distillation.schedule.{key} is {value}, and the training has {iterations} iterations"


def check_caches(config: Mapping[str, Any], path: object) -> None:
    """Whether every transform that keeps images is a step of the data set that reads files, where it is known which.

    Raises:
        RecipeError: names the others.
    """
    nested = layers(config["train_dataloader"]["dataset"])
    mixed = any(type_of(layer) == MIXING for layer in nested)
    pipelines = [
        (f"train_dataloader{'.dataset' * depth}.pipeline", layer.get("pipeline"), layer is nested[-1])
        for depth, layer in enumerate(nested, start=1)
    ]
    hooks = enumerate(hooks_of(config))
    pipelines += [(f"custom_hooks.{at}.switch_pipeline", hook.get("switch_pipeline"), not mixed) for at, hook in hooks]
    findings = [
        f"  {place}.{index} has {kind}"
        for place, steps, may in pipelines
        for index, step in enumerate(steps or [])
        for kind in _caching(step, inside=may)
    ]
    if findings:
        raise RecipeError(
            f"{path}: steps that keep images of earlier calls may stand in the pipeline of a {READING} itself, and not "
            "within another step or data set; move them there, or take Mosaic and MixUp in a MultiImageMixDataset:\n"
            + "\n".join(findings)
        )


def _caching(node: Any, inside: bool = False) -> Iterator[str]:
    """Kinds of such steps in a step; ``inside``: the step itself may be one."""
    if isinstance(node, Mapping):
        if type_of(node) in _CACHING and not inside:
            yield type_of(node)
        for value in node.values():
            yield from _caching(value)
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _caching(value)


def _points(scheduler: Mapping[str, Any], end: int) -> Iterator[tuple[str, int, int]]:
    """Keys of a scheduler that lie on the training's clock, with the latest value that has an effect."""
    begin = scheduler.get("begin", 0)
    yield "begin", begin, end - 1
    if "end" in scheduler:
        yield "end", scheduler["end"], end
    if scheduler.get("T_max") is not None:
        yield "T_max", scheduler["T_max"], end - begin
    for milestone in scheduler.get("milestones", []):
        yield "milestones", milestone, end - 1


def scales(loader: str, config: Mapping[str, Any], path: object) -> list[tuple[str, Sides]] | None:
    """Longer and shorter sides that a pipeline resizes to, with their keys; none where it is not said by scales.

    Raises:
        RecipeError: a scale is none.
    """
    found: list[tuple[str, Sides]] = []
    for name, step in steps_of(config[loader]["dataset"]):
        key, listed = scales_of(step)
        for scale in listed:
            place = f"{loader}.dataset.{name}.{key}"
            if (sides := sides_of(scale)) is None:
                raise RecipeError(f"{path}: {place} is {shown(scale)}, no scale; give one or two sides in pixels")
            found.append((place, sides))
        if not listed and any(word in step["type"] for word in _RESIZING):
            return None
    return found


def scales_of(step: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
    """The key of a step that holds its scales, and these; nothing where it resizes by something else, or not at all."""
    match step:
        case {"type": "Resize", "scale": scale}:
            return "scale", [scale]
        case {"type": "RandomChoiceResize", "scales": scales}:
            return "scales", scales if isinstance(scales, list) else [scales]  # as mmcv takes them
        case {"type": "RandomResize", "scale": [[*_], *_] as scales} if not step.get("ratio_range"):
            return "scale", scales
    return "", []


def _within(sides: Sides, trained: list[Sides]) -> bool:
    return all(min(each) <= side <= max(each) for side, each in zip(sides, zip(*trained, strict=True), strict=True))
