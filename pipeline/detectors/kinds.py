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


KINDS: dict[type[BaseDetector], DetectorKind] = {
    SingleStageDetector: DetectorKind.SINGLE_STAGE,
    TwoStageDetector: DetectorKind.TWO_STAGE,
}
"""The kind of a class and of all its subclasses, where none of them has an entry of its own. To register: add one."""

# The first one predicts at every cell.
_HEADS = {
    DetectorKind.SINGLE_STAGE: ("bbox_head",),
    DetectorKind.TWO_STAGE: ("rpn_head", "roi_head"),
}


def kind_of(detector: BaseDetector) -> DetectorKind:
    """The kind of a detector, by its class.

    Raises:
        RecipeError: no class above it is known, or a head of its kind is missing; names the type and the known ones.
    """
    kind = next((KINDS[ancestor] for ancestor in type(detector).__mro__ if ancestor in KINDS), None)
    if kind is None:
        known = ", ".join(f"{known_class.__name__} ({known_kind})" for known_class, known_kind in KINDS.items())
        raise RecipeError(
            f"{type(detector).__name__} is of no known kind of detector; known are subclasses of {known}. Choose one "
            "of these, or add its class to KINDS in pipeline/detectors/kinds.py"
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
        RecipeError: as :func:`kind_of`.
    """
    return getattr(detector, _HEADS[kind_of(detector)][0])
