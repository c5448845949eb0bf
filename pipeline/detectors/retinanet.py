"""Adapter of RetinaNet (Lin et al., Focal Loss for Dense Object Detection, arXiv 1708.02002)."""

from typing import Any

from torch import Tensor

from pipeline.detectors.family import Family, Layer, PublishedCSKD


class RetinaNetFamily(Family):
    """``cls`` is ``[N, A K, H, W]`` logits, ``reg`` is ``[N, A 4, H, W]`` deltas of the anchors."""

    predictors = ("retina_cls", "retina_reg")
    averages_normaliser = False
    # Of the configurations with a ResNet-101 teacher; the one with a ResNet-50 has (1, 0.5) throughout.
    published_cskd = PublishedCSKD(neck=(1.0, 2.0), branch=(5.0, 2.0), prediction=(1.0, 2.0))

    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        parts = predictors or head
        return {"cls": Layer("cls", parts.retina_cls), "reg": Layer("reg", parts.retina_reg)}

    def compared(self, head: Any, priors: Tensor, regression: Tensor) -> Tensor:
        return self.boxes(head, priors, regression) if head.reg_decoded_bbox else regression
