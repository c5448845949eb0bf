"""Adapter of RetinaNet (Lin et al., Focal Loss for Dense Object Detection, arXiv 1708.02002)."""

from typing import Any

from torch import Tensor

from pipeline.detectors.family import Family, Layer


class RetinaNetFamily(Family):
    """``cls`` is ``[N, A K, H, W]`` logits, ``reg`` is ``[N, A 4, H, W]`` deltas of the anchors."""

    name = "RetinaNet"
    predictors = ("retina_cls", "retina_reg")
    averages_normaliser = False

    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        parts = predictors or head
        return {"cls": Layer(("cls",), parts.retina_cls), "reg": Layer(("reg",), parts.retina_reg)}

    def compared(self, head: Any, priors: Tensor, regression: Tensor) -> Tensor:
        return self.boxes(head, priors, regression) if head.reg_decoded_bbox else regression
