"""What in a recipe must change together: sizes of pictures, and a schedule's length and what happens in it.

mmengine takes each on its own, so that an option which changes one alone trains at one size and ships another, or ends
before the warm-up does.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import RecipeError

# Steps after which a picture may have a size that is not said by a scale.
_RESIZING = ("Mosaic", "MixUp", "Expand", "Crop", "Pad", "Affine", "Resize", "Scale", "Albu", "Choice")
_KEEPING = ("RandomAffine", "Pad")
Sides = tuple[float, float]


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
    val = _scales("val_dataloader", config)
    if val is None or len(val) != 1:
        return
    (place, sides), *_ = val
    divisor = int(_preprocessor(config).get("pad_size_divisor", 1))
    if [math.ceil(side / divisor) * divisor for side in sides] != shipped:
        raise RecipeError(
            f"{path}: input_size is {list(config['input_size'])} (height, width), and {place} {_whole(sides)}: what "
            f"ships would see pictures of another size than those that weights are chosen on; {_together(config)}"
        )
    train = _scales("train_dataloader", config)
    if train and not _within(sides, [each for _, each in train]):
        listed = ", ".join(f"{key} {_whole(each)}" for key, each in train)
        raise RecipeError(
            f"{path}: training resizes to {listed}, and evaluation to {place} {_whole(sides)}; {_together(config)}"
        )


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
    iterations = epochs * math.ceil(images / config["train_dataloader"]["batch_size"]) if epochs else loop["max_iters"]
    findings = []
    schedulers = config["param_scheduler"]
    for index, scheduler in enumerate(schedulers if isinstance(schedulers, list | tuple) else [schedulers]):
        by_epoch = scheduler.get("by_epoch", True)
        if by_epoch and not epochs:
            continue  # an error of its own (pipeline.training.runner)
        end, unit = (epochs, "epochs") if by_epoch else (iterations, "iterations")
        kind = scheduler["type"]
        findings += [
            f"  param_scheduler.{index}.{key} is {_number(value)} ({kind}), and the training has {end} {unit}"
            for key, value, limit in _points(scheduler, end)
            if value > limit
        ]
    for key, value in (config.get("distillation") or {}).get("schedule", {}).items():
        if isinstance(value, int) and value > iterations:
            findings.append(f"  distillation.schedule.{key} is {value}, and the training has {iterations} iterations")
    if findings:
        length = "train_cfg.max_epochs" if epochs else "train_cfg.max_iters"
        raise RecipeError(
            f"{path}: these would not be reached; set them with {length}, in the recipe or under `options`:\n"
            + "\n".join(findings)
        )


def _points(scheduler: Mapping[str, Any], end: int) -> Iterator[tuple[str, float, int]]:
    """Keys of a scheduler that lie on the training's clock, with the latest value that has an effect."""
    begin = scheduler.get("begin", 0)
    if begin:
        yield "begin", begin, end - 1
    if math.isfinite(scheduler.get("end", math.inf)):
        yield "end", scheduler["end"], end
    if "T_max" in scheduler:
        yield "T_max", scheduler["T_max"], end - begin
    for milestone in scheduler.get("milestones", []):
        yield "milestones", milestone, end - 1


def _scales(loader: str, config: Mapping[str, Any]) -> list[tuple[str, Sides]] | None:
    """Longer and shorter sides that a pipeline resizes to, with their keys; none where it is not said by scales."""
    found: list[tuple[str, Sides]] = []
    for index, step in enumerate(config[loader]["dataset"].get("pipeline", [])):
        kind, place = str(step.get("type")), f"{loader}.dataset.pipeline.{index}"
        if kind in ("Resize", "RandomChoiceResize") and (scales := step.get("scale", step.get("scales"))) is not None:
            key = "scale" if "scale" in step else "scales"
            several = scales if kind == "RandomChoiceResize" else [scales]
            found += [(f"{place}.{key}", _sides(scale)) for scale in several]
        elif kind == "RandomResize" and not isinstance(step["scale"], int) and isinstance(step["scale"][0], Sequence):
            found += [(f"{place}.scale", _sides(scale)) for scale in step["scale"]]
        elif any(word in kind for word in _RESIZING) and kind not in _KEEPING:
            return None
    return found


def _within(sides: Sides, trained: list[Sides]) -> bool:
    return all(min(each) <= side <= max(each) for side, each in zip(sides, zip(*trained, strict=True), strict=True))


def _together(config: Mapping[str, Any]) -> str:
    keys = [place for loader in ("train_dataloader", "val_dataloader") for place, _ in _scales(loader, config) or []]
    return f"set input_size and {', '.join(dict.fromkeys(keys))} together"


def _sides(scale: Any) -> Sides:
    first, second = (scale, scale) if isinstance(scale, int | float) else scale
    return max(first, second), min(first, second)


def _preprocessor(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config["model"].get("data_preprocessor") or {}


def _whole(sides: Sides) -> list[int]:
    return [int(side) for side in sides]


def _number(value: float) -> str:
    return f"{value:g}"
