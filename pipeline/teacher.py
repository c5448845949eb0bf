"""The teacher: fetched by hash, or trained by this pipeline."""

import logging

from pipeline.checkpoints import check_classes, load_strict, load_weights, save_weights
from pipeline.errors import CheckpointError
from pipeline.launcher import is_first_process, launch
from pipeline.layout import (
    CACHE,
    DATASET,
    DATASET_RECORD,
    TEACHER,
    losses_file,
    recipe_file,
    validation_file,
    weights_file,
)
from pipeline.recipes import Recipe, build_detector, load_resolved
from pipeline.records import DatasetRecord
from pipeline.settings import Params, TeacherCheckpoint
from pipeline.storage import fresh_directory, sha256_of
from pipeline.training import TrainingJob, train_in_place
from pipeline.training.curves import write_curves
from pipeline.training.resumption import finish
from pipeline.weight_sources import fetch

logger = logging.getLogger(__name__)


def provide_teacher(params: Params, source: str) -> None:
    """Put the teacher's weights into ``models/teacher``, and its curves beside those of the students.

    Args:
        params: the checkpoint is the one listed for ``data.name``.
        source: ``fetch``, ``train``, or ``auto``: fetch where a checkpoint is listed, else train.

    Raises:
        CheckpointError: ``fetch`` without a listed checkpoint, no source delivers the hash, or the weights do not
            fit the teacher's configuration.
        TrainingError: a process of the training failed.
    """
    recipe = load_resolved(recipe_file(TEACHER))
    checkpoint = params.checkpoint()
    if source == "fetch" and checkpoint is None:
        raise CheckpointError(
            f"params.yaml: teacher.checkpoints has no entry for the data set {params.data.name!r} (it has "
            f"{sorted(params.teacher.checkpoints)}); add one, or set `teacher.source: train`"
        )
    if source == "train" or checkpoint is None:
        launch(params.train, train_teacher, params)
    elif is_first_process(params.train):
        _fetch(checkpoint, recipe)


def _fetch(checkpoint: TeacherCheckpoint, recipe: Recipe) -> None:
    path = fetch(checkpoint.sources, checkpoint.digest, CACHE)
    state, metadata = load_weights(path)
    detector = build_detector(recipe)
    load_strict(detector, state, str(path))
    check_classes(metadata, recipe.classes, str(path))
    target, found = weights_file(TEACHER), sha256_of(path)
    with fresh_directory(target.parent) as scratch:
        # The detector's own names: mmdet renames the keys of its older versions while it loads them.
        save_weights(scratch / target.name, detector.state_dict(), {**metadata, "source_sha256": found})
    write_curves(None, losses_file(TEACHER), validation_file(TEACHER))
    logger.info("teacher: %s (sha256 %s), %d tensors, loaded strictly", path, found, len(state))


def train_teacher(params: Params) -> None:
    """Train the teacher; called in every process of a training, the first alone writes."""
    job = TrainingJob(load_resolved(recipe_file(TEACHER)), DatasetRecord.read(DATASET_RECORD), DATASET, params.train)
    if record := train_in_place(job, TEACHER):
        write_curves(record, losses_file(TEACHER), validation_file(TEACHER))
        finish(job.work_dir)
