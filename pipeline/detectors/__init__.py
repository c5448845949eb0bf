"""One adapter a detector family: where its towers and prediction layers are. Methods are written against these."""

from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors.adapters import dense_head, family_of, is_two_stage
from pipeline.detectors.family import Assignment, Family
from pipeline.detectors.faster_rcnn import TwoStageFlow, check_parts
from pipeline.detectors.flow import Batch, Flow, Seen, SingleStageFlow
from pipeline.errors import RecipeError

__all__ = [
    "Assignment",
    "Batch",
    "Family",
    "Flow",
    "Seen",
    "dense_head",
    "family_of",
    "flow_of",
    "is_two_stage",
]


def flow_of(detector: BaseDetector) -> Flow:
    """The flow of a detector; raises :class:`RecipeError` for a kind that is not known."""
    if is_two_stage(detector):
        check_parts(detector)
        return TwoStageFlow()
    if hasattr(detector, "bbox_head"):
        return SingleStageFlow()
    raise RecipeError(
        f"{type(detector).__name__} has neither a dense head nor an RPN with a second stage; only detectors that have "
        "can be trained here"
    )
