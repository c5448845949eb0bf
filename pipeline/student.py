"""A student: trained on its own (the twin) or distilled from the teacher."""

from pipeline.checkpoints import load_detector
from pipeline.errors import SettingsError, did_you_mean
from pipeline.guides import check_guide
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
from pipeline.settings import Params, TrainSettings
from pipeline.training import TrainingJob, train_in_place
from pipeline.training.curves import write_curves
from pipeline.training.resumption import finish


def student_job(recipe: Recipe, settings: TrainSettings) -> TrainingJob:
    """The training of a student on the prepared data set, with the accepted teacher where its recipe has a method."""
    teacher = None
    if recipe.method != "none":
        weights = weights_file(TEACHER)
        teacher = (load_detector(load_resolved(recipe_file(TEACHER)), weights), weights)
    return TrainingJob(recipe, DatasetRecord.read(DATASET_RECORD), DATASET, settings, teacher)


def distil_student(params: Params, name: str) -> None:
    """Train one student and put its weights and training record into ``models/<name>``.

    A killed run goes on from its last checkpoint; the work directory is removed once the result is in place. Called in
    every process of a training; the first alone writes.

    Raises:
        SettingsError: ``name`` is no key of ``students``.
        CheckpointError: the teacher is not the one that the student's guide names.
        TrainingError: a loss is not finite.
    """
    if name not in params.students:
        raise SettingsError(f"params.yaml: students has no {name!r}; {did_you_mean(name, params.students)}")
    check_guide(name)
    job = student_job(load_resolved(recipe_file(name)), params.train)
    if record := train_in_place(job, name):
        write_curves(record, losses_file(name), validation_file(name))
        finish(job.work_dir)
