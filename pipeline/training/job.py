"""One training job: from a recipe to the val-chosen weights of the student alone."""

import logging
import resource
import shutil
import sys
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.dist import get_world_size, is_main_process
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm

from pipeline.checkpoints import classes_entry, load_weights, save_weights
from pipeline.compute import choose_device, choose_precision
from pipeline.detectors.batch_norm import fold_batch_norm
from pipeline.distillers import Distiller, build_methods, build_schedule
from pipeline.label_records import LabelRecord
from pipeline.layout import LABELS_RECORD, WORK_DIRS, training_file, weights_file
from pipeline.recipes import Recipe, check_initialised
from pipeline.recipes.recipe import pseudo_label_ratio
from pipeline.records import DatasetRecord
from pipeline.settings import DECISIVE, TrainSettings
from pipeline.storage import fresh_directory, sha256_of
from pipeline.training import fingerprint
from pipeline.training.batch import announce_learning_rate, images_per_iteration
from pipeline.training.collectives import from_first
from pipeline.training.hooks import BestWeightsHook, CrashSafeCheckpointHook, ProgressHook
from pipeline.training.initialisation import initialised
from pipeline.training.loaders import workers_of
from pipeline.training.log import TrainingLog
from pipeline.training.pseudo_labelled import pseudo_labels_sha256
from pipeline.training.resumption import BEST_FILE, RESUME_FILE, claim, damage_of
from pipeline.training.runner import build_runner, unused_parameters_named
from pipeline.training.seen_images import announce_seen_images
from pipeline.training.shared_memory import check_shared_memory, dead_workers_named
from pipeline.training.stopping import EarlyStopHook, shortening_of
from pipeline.training.tracking import Trackers, check_installed
from pipeline.training_records import InitRecord, SeenImages, TrainingRecord, UsedLabels

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingJob:
    """Everything that decides a training.

    Attributes:
        recipe: the resolved recipe of the detector to train.
        dataset: the prepared data set in ``dataset_dir``.
        teacher: an evaluated teacher with its weights file, for recipes with distillation methods.
        settings: how this machine trains.
    """

    recipe: Recipe
    dataset: DatasetRecord
    dataset_dir: Path
    settings: TrainSettings
    teacher: tuple[BaseDetector, Path] | None = None

    @property
    def uses_pseudo_labels(self) -> bool:
        """Whether pictures with pseudo-labels take part."""
        return pseudo_label_ratio(self.recipe.config) is not None

    @property
    def work_dir(self) -> Path:
        """The git-ignored scratch folder that a killed run goes on from."""
        return WORK_DIRS / self.recipe.name


def train(job: TrainingJob, weights: Path) -> TrainingRecord | None:
    """Train, or go on from where a killed run of the same job stopped, and write the val-chosen weights.

    Called in every process of a training (:mod:`pipeline.launcher`); the first alone writes.

    Args:
        job: what to train.
        weights: safetensors file for the student alone; it loads strictly into the stock mmdet detector.

    Returns:
        what was measured, or none in every process but the first.

    Raises:
        TrainingError: a loss is not finite.
        RecipeError: the recipe and the teacher do not fit together.
    """
    device = choose_device(job.settings.device)
    precision = choose_precision(job.settings.precision, device)
    workers = workers_of(job.settings, job.recipe)
    images = from_first(lambda: announce_seen_images(job.recipe, job.dataset, job.dataset_dir, workers))
    resume_from = from_first(lambda: _prepare_work_dir(job, device, precision))
    log = TrainingLog(job.work_dir)
    if not from_first(lambda: _is_finished(job, log)):
        _run(job, log, device, precision, resume_from)
    if not is_main_process():
        return None
    state, kept = load_weights(job.work_dir / BEST_FILE)
    save_weights(weights, state, kept)
    return _record(job, log, kept, images, precision, device)


def train_in_place(job: TrainingJob, name: str) -> TrainingRecord | None:
    """Train as :func:`train` does and put weights and training record into ``models/<name>``, both in one step."""
    target = weights_file(name)
    trained = job.work_dir / target.name
    record = train(job, trained)
    if record is not None:
        with fresh_directory(target.parent) as scratch:
            shutil.move(trained, scratch / target.name)  # models/ may lie on another disk
            record.write(scratch / training_file(name).name)
    return record


def _is_finished(job: TrainingJob, log: TrainingLog) -> bool:
    """Whether a run was killed after its last validation, which is logged after the best weights are in place."""
    validation, planned = log.validation(), log.planned_iterations()
    shortened = shortening_of(validation, job.settings.early_stopping, planned)
    last = shortened.last if shortened else planned
    return any(point.iteration == last for point in validation)


def _run(job: TrainingJob, log: TrainingLog, device: torch.device, precision: str, resume_from: Path | None) -> None:
    metadata = {"model": job.recipe.name, "recipe_sha256": job.recipe.sha256}
    metadata |= classes_entry(job.recipe.classes)
    trackers = Trackers(job.settings.trackers, job.recipe.name, job.work_dir)
    hooks = [
        BestWeightsHook(job.work_dir, metadata),
        CrashSafeCheckpointHook(job.work_dir, job.settings.checkpoint_interval),
        ProgressHook(log, job.settings.log_interval, job.recipe.name, trackers),
        EarlyStopHook(log, job.settings.early_stopping, job.recipe.name),
    ]
    announce_learning_rate(job.recipe, get_world_size())
    distiller, init = build_distiller(job)
    if init is not None:  # in the weights, which are there when a killed training has nothing left to do
        metadata["init"] = init.model_dump_json()
    runner = build_runner(
        distiller,
        job.recipe,
        job.dataset,
        job.dataset_dir,
        job.settings,
        device,
        precision,
        job.work_dir,
        hooks,
        resume_from,
    )
    # mmdet prints each time it indexes an annotation file; the progress bar is on the error stream.
    with closing(trackers), redirect_stdout(StringIO()), dead_workers_named(), unused_parameters_named():
        runner.train()


def build_distiller(job: TrainingJob) -> tuple[Distiller, InitRecord | None]:
    """The student as it begins, wrapped for training, and what of its ``init`` it took over.

    Equal seeds, and an equal ``init``, give equal weights for twin and student.
    """
    MMLogger.get_current_instance().setLevel("ERROR")
    check_initialised(job.recipe.config, job.recipe.path)
    student, init = initialised(job.recipe, job.settings.seed)
    if choose_device(job.settings.device).type == "cpu":
        # PyTorch synchronises batch norms on accelerators alone; on a CPU each process normalises by its own images.
        student = revert_sync_batchnorm(student)
    distillation = job.recipe.config.get("distillation", {})
    coded = len(job.recipe.classes) if job.uses_pseudo_labels else None
    if distillation and job.teacher is not None:
        teacher = fold_batch_norm(job.teacher[0])
        methods = build_methods(distillation.methods, student, teacher)
        distiller = Distiller(student, teacher, methods, build_schedule(distillation.get("schedule", {})), coded)
    else:
        distiller = Distiller(student, coded_classes=coded)
    if job.settings.channels_last:
        distiller.use_channels_last()
    return distiller, init


def _prepare_work_dir(job: TrainingJob, device: torch.device, precision: str) -> Path | None:
    check_installed(job.settings.trackers)
    claim(job.work_dir)
    check_shared_memory(job.recipe, workers_of(job.settings, job.recipe))
    settings = job.settings
    current = fingerprint.fingerprint(
        {
            "recipe": job.recipe.sha256,
            "data": {name: split.sha256 for name, split in job.dataset.splits.items()},
            "teacher": sha256_of(job.teacher[1]) if job.teacher else None,
            "labels": pseudo_labels_sha256() if job.uses_pseudo_labels else None,
            "settings": {**settings.model_dump(include={*DECISIVE}), "precision": precision, "device": device.type},
            "processes": get_world_size(),
        },
        Path(__file__).resolve().parents[2],
    )
    changed = fingerprint.changed_parts(job.work_dir, current)
    checkpoint = job.work_dir / RESUME_FILE
    if changed == [] and checkpoint.exists():
        damage = damage_of(job.work_dir)
        if not damage:
            logger.info("%s: resuming from %s", job.recipe.name, checkpoint)
            return checkpoint
        logger.warning("%s: starting clean, %s", job.recipe.name, damage)
    if changed:
        logger.info("%s: starting clean, changed since the last run: %s", job.recipe.name, ", ".join(changed))
    fingerprint.discard(job.work_dir)
    job.work_dir.mkdir(parents=True)
    fingerprint.store(job.work_dir, current)
    return None


def _record(
    job: TrainingJob, log: TrainingLog, kept: dict[str, str], images: SeenImages, precision: str, device: torch.device
) -> TrainingRecord:
    config = job.recipe.config
    validation, planned = log.validation(), log.planned_iterations()
    # The last iteration is always validated.
    iterations, batch_size = validation[-1].iteration, images_per_iteration(config, get_world_size())
    shortened, seconds = shortening_of(validation, job.settings.early_stopping, planned), log.seconds()
    best = [point for point in validation if point.iteration == int(kept["iteration"])]
    return TrainingRecord(
        model=job.recipe.name,
        method=job.recipe.method,
        pseudo_labels=_used_labels(job),
        init=InitRecord.model_validate_json(kept["init"]) if "init" in kept else None,
        iterations=iterations,
        planned_iterations=planned,
        stopped=shortened.stop if shortened else None,
        batch_size=batch_size,
        images=images,
        processes=get_world_size(),
        best_iteration=int(kept["iteration"]),
        best_val_ap=best[-1].ap if best else None,
        seconds=seconds,
        images_per_second=iterations * batch_size / seconds if seconds else 0.0,
        peak_memory_bytes=_peak_memory(device),
        device=str(device),
        precision=precision,
        resumed=log.resumes(),
        points=log.points(),
        validation=validation,
    )


def _used_labels(job: TrainingJob) -> UsedLabels | None:
    ratio = pseudo_label_ratio(job.recipe.config)
    return None if ratio is None else UsedLabels(ratio=ratio, labels=LabelRecord.read(LABELS_RECORD))


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
