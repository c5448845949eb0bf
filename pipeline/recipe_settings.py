"""Settings of ``params.yaml`` that change what recipes say: how long, on how many images a step, at what size."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from deploy.runtime.text_files import is_whole
from pipeline.setting_types import PositiveInt, Settings


class BudgetSettings(Settings):
    """How long and how fast a training learns; what is not given stays as the recipe has it.

    ``epochs`` or ``iterations`` is the length; the schedule goes with it. ``batch_size`` is images an iteration of each
    process; the learning rate goes with it, unless ``learning_rate`` is given.
    """

    epochs: PositiveInt | None = None
    iterations: PositiveInt | None = None
    batch_size: PositiveInt | None = None
    learning_rate: Annotated[float, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if self.epochs is not None and self.iterations is not None:
            raise ValueError(f"epochs is {self.epochs} and iterations {self.iterations}; give one of them")
        return self


def _sides(size: object) -> object:
    sides = [size, size] if is_whole(size) else size
    if not isinstance(sides, list | tuple) or len(sides) != 2 or not all(is_whole(side) and side > 0 for side in sides):
        raise ValueError("should be a number of pixels, or height and width: 320 or [320, 512]")
    return tuple(sides)


InputSize = Annotated[tuple[int, int], BeforeValidator(_sides)]
"""Height and width in pixels; one number is both."""
Width = Annotated[float, Field(gt=0, le=16)]
"""Of a recipe's own number of channels."""
