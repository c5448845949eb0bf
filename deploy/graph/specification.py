"""What an artefact says of itself: from the recipe, the detector's preprocessor and the settings of the export."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from deploy.runtime.artefact import KEEP_RATIO, LETTERBOX, ArtefactSpec
from pipeline.deploy_settings import ExportSettings
from pipeline.recipes import Recipe


def describe(
    recipe: Recipe, preprocessor: Any, weights_sha256: str, dataset: str, settings: ExportSettings
) -> ArtefactSpec:
    """What the artefact of a recipe and its weights will say about itself.

    Args:
        preprocessor: the stock detector's; it pads, with the colour that it subtracts, to multiples of a divisor. Where
            the recipe's test pipeline fills the canvas before that (``Pad``), its colour is taken.

    Raises:
        RecipeError: the size is dynamic, and the recipe's test pipeline has no scale to resize to.
    """
    height, width = recipe.input_size
    is_dynamic = settings.dynamic_size
    return ArtefactSpec(
        model=recipe.name,
        classes=tuple(recipe.classes),
        input_height=height,
        input_width=width,
        color_order="bgr",
        resize_rule=KEEP_RATIO if is_dynamic else LETTERBOX,
        pad_value=_filling(_test_pipeline(recipe)) or padding_colour(preprocessor),
        score_threshold=settings.score_threshold,
        nms_iou_threshold=settings.nms_iou_threshold,
        nms_passes=0,
        max_candidates=settings.max_candidates,
        max_detections=settings.max_detections,
        precision="fp32",
        recipe=recipe.path.as_posix(),
        recipe_sha256=recipe.sha256,
        weights_sha256=weights_sha256,
        dataset=dataset,
        scale=recipe.test_scale if is_dynamic else None,
        size_divisor=preprocessor.pad_size_divisor if is_dynamic else None,
    )


def normalisation(preprocessor: Any) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [3, 1, 1] that a data preprocessor subtracts and divides by (0 and 1 if none)."""
    if not preprocessor._enable_normalize:
        return torch.zeros(3, 1, 1, device=preprocessor.device), torch.ones(3, 1, 1, device=preprocessor.device)
    return preprocessor.mean.float().expand(3, 1, 1), preprocessor.std.float().expand(3, 1, 1)


def _test_pipeline(recipe: Recipe) -> Iterable[Mapping[str, Any]]:
    steps: Iterable[Mapping[str, Any]] = recipe.config.get("val_dataloader", {}).get("dataset", {}).get("pipeline", [])
    return steps


def _filling(steps: Iterable[Mapping[str, Any]]) -> tuple[int, int, int] | None:
    """The colour (BGR) that a pipeline's ``Pad`` fills pictures up with; none where it has none."""
    for step in steps:
        if step["type"] == "Pad":
            value = step.get("pad_val", 0)
            value = value.get("img", 0) if isinstance(value, Mapping) else value
            blue, green, red = value if isinstance(value, list | tuple) else (value,) * 3
            return round(blue), round(green), round(red)
    return None


def padding_colour(preprocessor: Any) -> tuple[int, int, int]:
    """The mean colour in the order that images are decoded in (BGR), rounded: what a canvas is filled with."""
    mean = normalisation(preprocessor)[0].flatten()
    decoded = mean.flip(0) if preprocessor._channel_conversion else mean
    blue, green, red = (round(value) for value in decoded.tolist())
    return blue, green, red
