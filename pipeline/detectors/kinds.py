"""Which kind of detector a stock model is. Nothing else decides it, be the model distilled or only exported."""

from enum import StrEnum
from typing import Any

from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.detectors.base import BaseDetector

from pipeline.errors import RecipeError


class DetectorKind(StrEnum):
    """How a detector comes from FPN outputs to boxes."""

    SINGLE_STAGE = "single-stage"
    """``bbox_head`` predicts boxes at every cell."""
    TWO_STAGE = "two-stage"
    """``rpn_head`` proposes regions at every cell, ``roi_head`` classifies them."""
    OTHER = "other"
    """In a way of its own, as the queries of DETR and DINO."""


KINDS: dict[type[BaseDetector], DetectorKind] = {
    SingleStageDetector: DetectorKind.SINGLE_STAGE,
    TwoStageDetector: DetectorKind.TWO_STAGE,
    BaseDetector: DetectorKind.OTHER,
}
"""The kind of a class and of all its subclasses, where none of them has an entry of its own. To register: add one."""

# The first one predicts at every cell.
_HEADS: dict[DetectorKind, tuple[str, ...]] = {
    DetectorKind.SINGLE_STAGE: ("bbox_head",),
    DetectorKind.TWO_STAGE: ("rpn_head", "roi_head"),
    DetectorKind.OTHER: (),
}


def kind_of(detector: BaseDetector) -> DetectorKind:
    """The kind of a detector, by its class.

    Raises:
        RecipeError: it is none of mmdet's detectors, or a head of its kind is missing; names the type.
    """
    kind = next((KINDS[ancestor] for ancestor in type(detector).__mro__ if ancestor in KINDS), None)
    if kind is None:
        raise RecipeError(
            f"{type(detector).__name__} is no detector: its class is no subclass of mmdet's BaseDetector; choose one "
            "of mmdet.models.detectors"
        )
    if missing := [head for head in _HEADS[kind] if getattr(detector, head, None) is None]:
        raise RecipeError(
            f"{type(detector).__name__} is a {kind} detector without {' and '.join(missing)}; "
            f"known are {kind} detectors with {' and '.join(_HEADS[kind])}"
        )
    return kind


def dense_head(detector: BaseDetector) -> Any:
    """The head that predicts at every cell of the FPN: a single-stage detector's only one, a two-stage one's RPN.

    Raises:
        RecipeError: it has none, or as :func:`kind_of`.
    """
    kind = kind_of(detector)
    if kind is DetectorKind.OTHER:
        raise RecipeError(
            f"{type(detector).__name__} has no head that predicts at every cell; PKD, which compares FPN outputs "
            "alone, needs none"
        )
    return getattr(detector, _HEADS[kind][0])
