"""Adapter of RetinaNet (Lin et al., Focal Loss for Dense Object Detection, arXiv 1708.02002)."""

from typing import Any

from pipeline.detectors.family import Family, Layer


class RetinaNetFamily(Family):
    """``cls`` is ``[N, A K, H, W]`` logits, ``reg`` is ``[N, A 4, H, W]`` deltas of the anchors."""

    averages_normaliser = False

    def layers(self, head: Any, level: int) -> dict[str, Layer]:
        del level
        return {"cls": Layer("cls", head.retina_cls), "reg": Layer("reg", head.retina_reg)}
