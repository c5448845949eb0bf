"""Adapter of the GFL family (Li et al., Generalized Focal Loss, arXiv 2006.04388)."""

from typing import Any

from pipeline.detectors.family import Family, Layer, Published


class GFLFamily(Family):
    """``cls`` is ``[N, K, H, W]`` quality logits, ``reg`` is ``[N, 4 (reg_max + 1), H, W]`` distribution logits."""

    reg_losses = ("kl",)
    published = Published(reg_weight=4.0, feature_weight=6.0)

    def layers(self, head: Any, level: int) -> dict[str, Layer]:
        scale = head.scales[level]
        return {
            "cls": Layer("cls", head.gfl_cls),
            "reg": Layer("reg", lambda feature: scale(head.gfl_reg(feature)).float()),
        }
