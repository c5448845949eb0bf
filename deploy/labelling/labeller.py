"""What labels: the teacher, or an artefact of this project."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from deploy import load
from deploy.graph.pytorch_backend import pytorch_detector
from deploy.labelling.other_artefact import open_other
from deploy.labelling.views import MirroringDetector
from deploy.runtime.detector import Detector
from pipeline.checkpoints import check_accepted, load_detector
from pipeline.compute import choose_device, use_own_cores
from pipeline.deploy_settings import ExportSettings
from pipeline.errors import CheckpointError
from pipeline.label_settings import LabellingArtefact, OtherArtefact
from pipeline.layout import TEACHER, recipe_file, weights_file
from pipeline.recipes import load_resolved
from pipeline.records import DatasetRecord
from pipeline.settings import Params
from pipeline.storage import sha256_of


@contextmanager
def opened_labeller(params: Params, dataset: DatasetRecord) -> Iterator[tuple[Detector, str]]:
    """The detector of ``label.by``, and the hash of its weights or its file.

    Args:
        params: the section ``label`` and ``train.device`` are used.
        dataset: the prepared data set.

    Raises:
        CheckpointError: the artefact is missing or another one than its hash says, or the teacher was not accepted.
        ArtefactError: it is none of this project's, or of another form than ``label.by`` says.
    """
    use_own_cores()
    # TF32 would make fp32 on GPUs another precision than fp32 on CPUs.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        detector, digest = _opened(params, dataset)
        with detector:
            flip = params.label.flip
            yield MirroringDetector(detector, params.label.nms_iou_threshold) if flip else detector, digest


def _opened(params: Params, dataset: DatasetRecord) -> tuple[Detector, str]:
    settings = params.label
    if isinstance(settings.by, LabellingArtefact):
        digest = _checked(settings.by)
        if isinstance(settings.by, OtherArtefact):
            return open_other(settings.by, dataset.classes, settings.least_score, settings.batch_size), digest
        return load(settings.by.artefact, batch_size=settings.batch_size), digest
    check_accepted()
    recipe, weights = load_resolved(recipe_file(TEACHER)), weights_file(TEACHER)
    stock = load_detector(recipe, weights).to(choose_device(params.train.device))
    digest = sha256_of(weights)
    thresholds = ExportSettings(
        models=[TEACHER], score_threshold=settings.least_score, nms_iou_threshold=settings.nms_iou_threshold
    )
    return pytorch_detector(recipe, stock, digest, dataset.name, thresholds, settings.batch_size), digest


def _checked(by: LabellingArtefact) -> str:
    """The hash of an artefact, which is the one that is asked for."""
    if not by.artefact.is_file():
        raise CheckpointError(f"label.by.artefact in params.yaml is {by.artefact}, and there is no such file")
    if (digest := sha256_of(by.artefact)) != by.sha256:
        raise CheckpointError(
            f"label.by.artefact in params.yaml: the SHA-256 of {by.artefact} is {digest}, and label.by.sha256 is "
            f"{by.sha256}; give the hash of the file that is meant"
        )
    return digest
