"""Which adapter belongs to which stock head."""

from typing import Any

from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors.atss import ATSSFamily
from pipeline.detectors.family import Family
from pipeline.detectors.fcos import FCOSFamily
from pipeline.detectors.gfl import GFLFamily
from pipeline.detectors.retinanet import RetinaNetFamily
from pipeline.errors import RecipeError

# By exact class name: a subclass (TOODHead is an ATSSHead) may predict in another way.
_FAMILIES: dict[str, type[Family]] = {
    "ATSSHead": ATSSFamily,
    "FCOSHead": FCOSFamily,
    "GFLHead": GFLFamily,
    "RetinaHead": RetinaNetFamily,
}


def is_two_stage(detector: BaseDetector) -> bool:
    """Whether an RPN proposes regions and a second stage judges them."""
    return hasattr(detector, "rpn_head") and hasattr(detector, "roi_head")


def dense_head(detector: BaseDetector) -> Any:
    """The head that predicts at every cell of the FPN: a single-stage detector's only one, a two-stage one's RPN."""
    return detector.rpn_head if is_two_stage(detector) else detector.bbox_head


def family_of(detector: BaseDetector) -> Family:
    """The adapter of a detector, by the type of its head; raises :class:`RecipeError` for an unknown head."""
    head = type(dense_head(detector)).__name__
    if head not in _FAMILIES:
        raise RecipeError(f"no distillation adapter for {head}; known heads: {sorted(_FAMILIES)}")
    return _FAMILIES[head]()
