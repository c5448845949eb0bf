"""Adapter of TOOD (Feng et al., Task-aligned One-stage Object Detection, arXiv 2108.07755)."""

from collections.abc import Sequence
from typing import Any

from pipeline.detectors.family import Family, Layer


class TOODFamily(Family):
    """A head without towers: its predictions are made of the outputs of all convolutions of one stack together.

    It puts out probabilities and boxes in strides.
    """

    name = "TOOD"
    predictors = ("tood_cls", "tood_reg")

    def obstacles(self, head: Any) -> list[str]:
        del head
        reason = "it has no towers, as each prediction is made of the outputs of all of inter_convs together"
        return [f"{reason}; take PKD, which compares FPN outputs alone"]

    def towers(self, head: Any, level: int) -> dict[str, Sequence[Any]]:
        return {}

    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        return {}
