"""A student: distilled from the teacher, or trained alone as its twin."""

from collections.abc import Mapping

from pipeline.checkpoints import check_accepted, load_detector
from pipeline.errors import SettingsError, did_you_mean
from pipeline.layout import (
    DATASET,
    DATASET_RECORD,
    TEACHER,
    losses_file,
    recipe_file,
    validation_file,
    weights_file,
)
from pipeline.recipes import Recipe, load_resolved
from pipeline.records import DatasetRecord
from pipeline.settings import Params, StudentSettings, TrainSettings
from pipeline.training import TrainingJob, train_in_place
from pipeline.training.curves import write_curves
from pipeline.training.resumption import finish


def train_twin(params: Params, name: str) -> None:
    """Train one twin and put its weights and training record into ``models/<name>``; no teacher is needed.

    A killed run goes on from its last checkpoint; the work directory is removed once the result is in place. Called in
    every process of a training; the first alone writes.

    Raises:
        SettingsError: ``name`` is no key of ``twins``.
        TrainingError: a loss is not finite.
    """
    _check_listed(name, params.twins, "twins")
    _deliver(student_job(load_resolved(recipe_file(name)), params.train))


def distil_student(params: Params, name: str) -> None:
    """Distil one student as :func:`train_twin` trains a twin.

    Raises:
        SettingsError: ``name`` is no key of ``students``.
        CheckpointError: there is no teacher, or another one than passed its evaluation.
        TrainingError: a loss is not finite.
    """
    _check_listed(name, params.students, "students")
    check_accepted()
    _deliver(student_job(load_resolved(recipe_file(name)), params.train))


def student_job(recipe: Recipe, settings: TrainSettings) -> TrainingJob:
    """The training of a student on the prepared data set, with the accepted teacher where its recipe has a method."""
    teacher = None
    if recipe.has_methods:
        weights = weights_file(TEACHER)
        teacher = (load_detector(load_resolved(recipe_file(TEACHER)), weights), weights)
    return TrainingJob(recipe, DatasetRecord.read(DATASET_RECORD), DATASET, settings, teacher)


def _deliver(job: TrainingJob) -> None:
    name = job.recipe.name
    if record := train_in_place(job, name):
        write_curves(record, losses_file(name), validation_file(name))
        finish(job.work_dir)


def _check_listed(name: str, section: Mapping[str, StudentSettings], title: str) -> None:
    if name not in section:
        known = did_you_mean(name, section) if section else "it is empty"
        raise SettingsError(f"params.yaml: {title} has no {name!r}; {known}")
