"""Which kind of detector a model is, and one adapter a family: its towers and prediction layers, for the methods."""

from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors.adapters import FAMILIES, family_name, family_of
from pipeline.detectors.family import Assignment, Family
from pipeline.detectors.faster_rcnn import TwoStageFlow, other_parts
from pipeline.detectors.flow import Batch, Flow, ForwardPass, SingleStageFlow
from pipeline.detectors.kinds import KINDS, DetectorKind, dense_head, kind_of
from pipeline.detectors.normalisation import Normalisation, renormalised
from pipeline.detectors.pyramid import Features, Level, features_of, pyramid_of
from pipeline.errors import RecipeError

__all__ = [
    "FAMILIES",
    "KINDS",
    "Assignment",
    "Batch",
    "DetectorKind",
    "Family",
    "Features",
    "Flow",
    "ForwardPass",
    "Level",
    "Normalisation",
    "dense_head",
    "family_name",
    "family_of",
    "features_of",
    "flow_of",
    "kind_of",
    "pyramid_of",
    "renormalised",
]


def flow_of(detector: BaseDetector) -> Flow:
    """The flow of a detector: one that knows its head, or else that of any of mmdet's detectors.

    Raises:
        RecipeError: it is no detector, or one with masks.
    """
    kind = kind_of(detector)
    if getattr(detector, "with_mask", False):
        raise RecipeError(
            f"{type(detector).__name__} has a mask head, and nothing is annotated but boxes; leave mask_head out"
        )
    if kind is DetectorKind.TWO_STAGE and not other_parts(detector):
        return TwoStageFlow()
    if kind is DetectorKind.SINGLE_STAGE and type(dense_head(detector)).__name__ in FAMILIES:
        return SingleStageFlow()
    return Flow()
