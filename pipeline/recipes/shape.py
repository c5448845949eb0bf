"""What this project reads of a recipe itself, and what that must be; the rest is for mmdet and mmengine to judge."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from deploy.runtime.errors import shortened
from deploy.runtime.text_files import is_whole
from pipeline.errors import RecipeError
from pipeline.setting_findings import listed_findings

_LONGEST = 1000
_MOST = 10**9
_Count = Annotated[int, Field(strict=True, gt=0, le=_MOST)]
_Place = Annotated[int, Field(strict=True, ge=0, le=_MOST)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Section = dict[str, Any]


class _Typed(BaseModel):
    """A dict that a registry builds something from."""

    type: str


class _Preprocessor(_Typed):
    pad_size_divisor: _Count = 1


class _Model(_Typed):
    data_preprocessor: _Preprocessor


class _Optimizer(_Typed):
    lr: _Positive


class _OptimWrapper(BaseModel):
    optimizer: _Optimizer
    accumulative_counts: _Count = 1


class _Scheduler(_Typed):
    by_epoch: Annotated[bool, Field(strict=True)] = True
    begin: _Place = 0
    end: _Count = _MOST
    T_max: _Count | None = None
    milestones: list[_Count] = []


class _Loop(BaseModel):
    max_iters: _Count = _MOST
    max_epochs: _Count = _MOST
    val_interval: _Count = 1
    dynamic_intervals: list[tuple[_Place, _Count]] | None = None

    @field_validator("dynamic_intervals")
    @classmethod
    def _in_order(cls, changes: list[tuple[int, int]] | None) -> list[tuple[int, int]] | None:
        if any(earlier[0] >= later[0] for earlier, later in pairwise(changes or [])):
            raise ValueError("milestones must rise")
        return changes


def _hand_over(steps: list[_Typed] | None) -> list[_Typed] | None:
    if steps is not None and (not steps or steps[-1].type.rpartition(".")[2] != "PackDetInputs"):
        raise ValueError("the last step must be PackDetInputs, which hands pictures and boxes over")
    return steps


class _Dataset(BaseModel):
    pipeline: list[_Typed] = []
    dataset: "_Dataset | None" = None
    times: _Count = 1

    def handing_over(self) -> list[_Typed] | None:
        """The steps that an image goes through last."""
        if "pipeline" in self.model_fields_set or self.dataset is None:
            return self.pipeline if "pipeline" in self.model_fields_set else None
        return self.dataset.handing_over()


class _Loader(BaseModel):
    dataset: _Dataset
    sampler: _Typed
    batch_sampler: _Typed | None = None

    @field_validator("dataset")
    @classmethod
    def _hands_over(cls, dataset: _Dataset) -> _Dataset:
        _hand_over(dataset.handing_over())
        return dataset


class _TrainLoader(_Loader):
    batch_size: _Count


class _Hook(_Typed):
    switch_epoch: _Place | None = None
    switch_iter: _Place | None = None
    switch_pipeline: Annotated[list[_Typed] | None, AfterValidator(_hand_over)] = None
    num_last_epochs: _Place | None = None
    num_last_iters: _Place | None = None
    begin_epoch: _Place = 0
    begin_iter: _Place = 0


class _PseudoLabels(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ratio: Annotated[float, Field(gt=0, le=100)]


class _Distillation(BaseModel):
    methods: list[_Typed] = []
    schedule: _Section = {}
    pseudo_labels: _PseudoLabels | None = None


class _BackboneWeights(BaseModel):
    sources: list[str] = []


class _Recipe(BaseModel):
    model: _Model
    input_size: tuple[_Count, _Count]
    optim_wrapper: _OptimWrapper
    # mmengine takes a single one without a list.
    param_scheduler: Annotated[list[_Scheduler], BeforeValidator(lambda one: [one] if isinstance(one, dict) else one)]
    train_cfg: _Loop
    train_dataloader: _TrainLoader
    val_dataloader: _Loader
    auto_scale_lr: _Section | None = None
    backbone_weights: _BackboneWeights | None = None
    custom_hooks: list[_Hook] | None = None
    distillation: _Distillation = _Distillation()
    find_unused_parameters: Annotated[bool, Field(strict=True)] = False
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
    if (sides := sides_of(scale)) is None:
        found = shortened(str([dict(step) for step in steps]), _LONGEST)
        raise RecipeError(
            f"{path}: val_dataloader.dataset.pipeline needs one Resize with keep_ratio=True and a scale, got {found}; "
            "export.dynamic_size resizes images by it"
        )
    return sides


def sides_of(scale: Any) -> tuple[int, int] | None:
    """The longer and the shorter side in pixels of a scale of mmcv's: a number, or two; none where it is no scale."""
    sides = scale if isinstance(scale, list | tuple) else (scale, scale)
    if len(sides) != 2 or not all(is_whole(side) and side > 0 for side in sides):
        return None
    return max(sides), min(sides)


def reason(error: Exception) -> str:
    """What a third party raised, for the end of a sentence; a value of a recipe may be in it, of any length."""
    return f"{type(error).__name__}: {shortened(str(error), _LONGEST)}"
