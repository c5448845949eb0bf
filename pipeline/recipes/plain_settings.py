"""The plain settings of ``params.yaml`` on a recipe: each changes all that must follow."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from pipeline.recipe_settings import BudgetSettings
from pipeline.recipes.batch_size import at_batch_size, at_learning_rate
from pipeline.recipes.clock import counts_epochs, epoch_of, in_iterations
from pipeline.recipes.input_size import at_input_size
from pipeline.recipes.length import at_length
from pipeline.recipes.width import at_width
from pipeline.records import DatasetRecord
from pipeline.setting_types import StartingWeights

Options = dict[str, Any]
Step = Callable[[Mapping[str, Any]], Options]

_RECIPES_OWN = BudgetSettings()


@dataclass(frozen=True)
class PlainSettings:
    """What ``params.yaml`` says of a model beside its recipe and ``options``; the defaults change nothing."""

    budget: BudgetSettings = _RECIPES_OWN
    input_size: tuple[int, int] | None = None
    width: float = 1.0
    init: StartingWeights | None = None
    unlabelled: float | None = None


UNCHANGED = PlainSettings()
"""A model as its recipe and ``options`` have it."""


def apply_plain(config: Config, plain: PlainSettings, dataset: DatasetRecord, path: object) -> None:
    """Change a recipe as the plain settings ask; what they do not name stays as it is.

    Args:
        config: a recipe's configuration, whole; changed in place.
        plain: the settings.
        dataset: the images of its train split say how many iterations an epoch has.
        path: names the recipe in errors.

    Raises:
        RecipeError: as :func:`at_input_size` and :func:`at_width`.
    """
    for step in _steps(plain, dataset, path):
        config.merge_from_dict(step(config.to_dict()))


def _steps(plain: PlainSettings, dataset: DatasetRecord, path: object) -> Iterator[Step]:
    budget, size = plain.budget, plain.input_size
    if (batch_size := budget.batch_size) is not None:
        yield lambda config: at_batch_size(config, batch_size)
    if (epochs := budget.epochs) is not None:
        yield lambda config: _for_epochs(config, epochs, dataset.splits["train"].images)
    if (iterations := budget.iterations) is not None:
        yield lambda config: _in_iterations(config, dataset.splits["train"].images)
        yield lambda config: at_length(config, iterations)
    if (rate := budget.learning_rate) is not None:
        yield lambda config: at_learning_rate(config, rate)
    if size is not None:
        yield lambda config: at_input_size(config, size, path)
    if plain.width != 1:
        yield lambda config: at_width(config, plain.width, path)
    if plain.unlabelled is not None:
        yield lambda config: {"distillation.pseudo_labels": {"ratio": plain.unlabelled}}


def _in_iterations(config: Mapping[str, Any], images: int) -> Options:
    return in_iterations(config, epoch_of(config, images)) if counts_epochs(config) else {}


def _for_epochs(config: Mapping[str, Any], epochs: int, images: int) -> Options:
    epoch = epoch_of(config, images)
    return at_length(config, epochs, epoch) if counts_epochs(config) else at_length(config, epochs * epoch)
