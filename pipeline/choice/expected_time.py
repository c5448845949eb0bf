"""How long the trainings of a choice will take here, by a few real steps of each model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from mmdet.models.detectors.base import BaseDetector
from tqdm import tqdm

from pipeline.compute import use_own_cores
from pipeline.layout import TEACHER
from pipeline.recipes import Recipe, build_detector, load_resolved, resolve_all
from pipeline.recipes.clock import epoch_of, iterations_of
from pipeline.records import DatasetRecord
from pipeline.settings import Params
from pipeline.training.batch import learning_rate
from pipeline.training.step_time import StepTime, time_of_step

_BESIDE = 1.2
"""What loading, validations and checkpoints may add to the steps: times as much."""


@dataclass(frozen=True)
class ExpectedTraining:
    """One training as it is set: length, batch, canvas and optimizer, and the time of a step on this machine.

    Attributes:
        epochs: passes over the images.
        input_size: height and width in pixels.
        optimizer: its name and learning rate, for the reader.
        threads: of the CPU that the step was measured with.
    """

    model: str
    iterations: int
    epochs: float
    batch_size: int
    input_size: tuple[int, int]
    optimizer: str
    step: StepTime
    threads: int = 1

    @property
    def least_seconds(self) -> float:
        """Of the steps alone, if nothing else runs here."""
        return self.iterations * min(self.step.wall, self.step.computing)

    @property
    def most_seconds(self) -> float:
        """With what comes beside the steps, if as much else runs here as while they were measured."""
        return self.iterations * self.step.wall * _BESIDE


def expected_trainings(params: Params, dataset: DatasetRecord, folder: Path) -> list[ExpectedTraining]:
    """What every model that is trained will take: the teacher unless it is fetched, twins and students.

    Args:
        params: the settings that the trainings will have.
        dataset: the prepared data set, which says how many images an epoch has.
        folder: where the resolved recipes are written for it.

    Raises:
        RecipeError: a recipe does not fit the settings.
    """
    resolve_all(params, dataset, folder, lambda recipes: None)
    use_own_cores()
    trainings = _trainings(params, dataset, folder)
    return [*tqdm(trainings, "measuring steps", len(params.trained) + 1, unit="model", leave=False)]


def by_stage(trainings: Iterable[ExpectedTraining], params: Params) -> dict[str, float]:
    """Seconds of each training by the name of its stage in ``dvc.yaml``, where nothing else runs."""
    verbs = {TEACHER: TEACHER, **{name: f"train@{name}" for name in params.twins}}
    return {verbs.get(one.model, f"distill@{one.model}"): one.least_seconds for one in trainings}


def _trainings(params: Params, dataset: DatasetRecord, folder: Path) -> Iterator[ExpectedTraining]:
    recipes = {name: load_resolved(folder / f"{name}.json") for name in (TEACHER, *params.trained)}
    if params.teacher.source != "fetch" and params.checkpoint() is None:
        yield _training(recipes[TEACHER], None, params, dataset)
    for name in params.trained:
        recipe = recipes[name]
        # A copy for each: its batch norm is folded.
        teacher = build_detector(recipes[TEACHER]) if recipe.has_methods else None
        yield _training(recipe, teacher, params, dataset)


def _training(recipe: Recipe, teacher: BaseDetector | None, params: Params, dataset: DatasetRecord) -> ExpectedTraining:
    config, images = recipe.config, dataset.splits["train"].images
    iterations = iterations_of(config, images)
    return ExpectedTraining(
        model=recipe.name,
        iterations=iterations,
        epochs=iterations / epoch_of(config, images),
        batch_size=config.train_dataloader.batch_size,
        input_size=recipe.input_size,
        optimizer=f"{config.optim_wrapper.optimizer.type} at {learning_rate(config, processes=1):g}",
        step=time_of_step(recipe, teacher, params.train),
        threads=torch.get_num_threads(),
    )
