"""Which kind of detector a model is, and one adapter a family: its towers and prediction layers, for the methods."""

from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors.adapters import FAMILIES, family_name, family_of
from pipeline.detectors.family import Assignment, Family
from pipeline.detectors.faster_rcnn import TwoStageFlow, check_parts
from pipeline.detectors.flow import Batch, Flow, ForwardPass, SingleStageFlow
from pipeline.detectors.kinds import KINDS, DetectorKind, dense_head, kind_of

__all__ = [
    "FAMILIES",
    "KINDS",
    "Assignment",
    "Batch",
    "DetectorKind",
    "Family",
    "Flow",
    "ForwardPass",
    "dense_head",
    "family_name",
    "family_of",
    "flow_of",
    "kind_of",
]


def flow_of(detector: BaseDetector) -> Flow:
    """The flow of a detector; raises :class:`RecipeError` for a kind, or a part of it, that is not known."""
    if kind_of(detector) is DetectorKind.TWO_STAGE:
        check_parts(detector)
        return TwoStageFlow()
    return SingleStageFlow()
