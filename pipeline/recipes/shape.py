"""What this project reads of a recipe itself, and what that must be; the rest is for mmdet and mmengine to judge."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from deploy.runtime.errors import shortened
from deploy.runtime.text_files import is_whole
from pipeline.errors import RecipeError
from pipeline.setting_findings import listed_findings

_LONGEST = 1000
_Side = Annotated[int, Field(strict=True, gt=0)]
_Section = dict[str, Any]


class _Typed(BaseModel):
    """A dict that a registry builds something from."""

    type: str


class _Dataset(BaseModel):
    pipeline: list[_Typed] = []


class _Loader(BaseModel):
    dataset: _Dataset


class _Distillation(BaseModel):
    methods: list[_Typed] = []
    schedule: _Section = {}


class _BackboneWeights(BaseModel):
    sources: list[str] = []


class _Recipe(BaseModel):
    model: _Section
    input_size: tuple[_Side, _Side]
    optim_wrapper: _Section
    param_scheduler: _Section | list[_Section]
    train_cfg: _Section
    train_dataloader: _Section
    val_dataloader: _Loader
    auto_scale_lr: _Section | None = None
    backbone_weights: _BackboneWeights | None = None
    custom_hooks: list[_Section] | None = None
    distillation: _Distillation = _Distillation()
    published: dict[str, Annotated[float, Field(ge=0, le=100)] | None] = {}


def check_shape(config: Mapping[str, Any], path: Path) -> None:
    """Hold a recipe against the above.

    Args:
        config: what is read of it; other keys do not matter.
        path: names it in the error.

    Raises:
        RecipeError: every value that is none of its kind is listed with its key.
    """
    try:
        _Recipe.model_validate(config)
    except ValidationError as error:
        findings = listed_findings(error, _Recipe)
        raise RecipeError(f"{path}: {error.error_count()} invalid value(s):\n{findings}") from error


def resize_scale(steps: Sequence[Mapping[str, Any]], path: Path) -> tuple[int, int]:
    """Pixels that the longer and the shorter side of an image may have, by the one ``Resize`` of a test pipeline.

    Raises:
        RecipeError: there is not one such step with ``keep_ratio`` and a scale; ``path`` names the recipe.
    """
    resizing = [step for step in steps if step["type"] == "Resize" and step.get("keep_ratio")]
    scale = resizing[0].get("scale") if len(resizing) == 1 else None
    sides = scale if isinstance(scale, list | tuple) else (scale, scale)
    if len(sides) != 2 or not all(is_whole(side) and side > 0 for side in sides):
        found = shortened(str([dict(step) for step in steps]), _LONGEST)
        raise RecipeError(
            f"{path}: val_dataloader.dataset.pipeline needs one Resize with keep_ratio=True and a scale, got {found}; "
            "export.dynamic_size resizes images by it"
        )
    return max(sides), min(sides)


def reason(error: Exception) -> str:
    """What a third party raised, for the end of a sentence; a value of a recipe may be in it, of any length."""
    return f"{type(error).__name__}: {shortened(str(error), _LONGEST)}"
