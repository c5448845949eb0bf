"""How long the trainings of a choice will take here, by a few real steps of each model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mmdet.models.detectors.base import BaseDetector
from tqdm import tqdm

from pipeline.compute import use_own_cores
from pipeline.layout import TEACHER
from pipeline.recipes import Recipe, build_detector, load_resolved, resolve_all
from pipeline.recipes.clock import iterations_of
from pipeline.records import DatasetRecord
from pipeline.settings import Params
from pipeline.training.step_time import seconds_of_step


@dataclass(frozen=True)
class ExpectedTime:
    """Of one training: iterations, images in each, and its seconds."""

    model: str
    iterations: int
    batch_size: int
    seconds_per_iteration: float

    @property
    def seconds(self) -> float:
        """Of the whole training, its validations left out."""
        return self.iterations * self.seconds_per_iteration


def expected_times(params: Params, dataset: DatasetRecord, folder: Path) -> list[ExpectedTime]:
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
    times = _times(params, dataset, folder)
    return [*tqdm(times, "measuring steps", len(params.trained) + 1, unit="model", leave=False)]


def by_stage(times: Iterable[ExpectedTime], params: Params) -> dict[str, float]:
    """Seconds of each training by the name of its stage in ``dvc.yaml``."""
    verbs = {TEACHER: TEACHER, **{name: f"train@{name}" for name in params.twins}}
    return {verbs.get(one.model, f"distill@{one.model}"): one.seconds for one in times}


def _times(params: Params, dataset: DatasetRecord, folder: Path) -> Iterator[ExpectedTime]:
    recipes = {name: load_resolved(folder / f"{name}.json") for name in (TEACHER, *params.trained)}
    if params.teacher.source != "fetch" and params.checkpoint() is None:
        yield _time(recipes[TEACHER], None, params, dataset)
    for name in params.trained:
        recipe = recipes[name]
        # A copy for each: its batch norm is folded.
        teacher = build_detector(recipes[TEACHER]) if recipe.method != "none" else None
        yield _time(recipe, teacher, params, dataset)


def _time(recipe: Recipe, teacher: BaseDetector | None, params: Params, dataset: DatasetRecord) -> ExpectedTime:
    seconds = seconds_of_step(recipe, teacher, params.train)
    iterations = iterations_of(recipe.config, dataset.splits["train"].images)
    return ExpectedTime(recipe.name, iterations, recipe.config.train_dataloader.batch_size, seconds)
