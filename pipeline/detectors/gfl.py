"""Adapter of the GFL family (Li et al., Generalized Focal Loss, arXiv 2006.04388)."""

from typing import Any

from pipeline.detectors.family import Family, Layer, Published, PublishedCSKD


class GFLFamily(Family):
    """``cls`` is ``[N, K, H, W]`` quality logits, ``reg`` is ``[N, 4 (reg_max + 1), H, W]`` distribution logits."""

    predictors = ("gfl_cls", "gfl_reg", "scales")
    reg_losses = ("kl",)
    scores_are_qualities = True
    published = Published(reg_weight=4.0, feature_weight=6.0)
    published_cskd = PublishedCSKD(over_foreground=("cls", "reg"))

    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        parts = predictors or head
        scale = parts.scales[level]
        return {
            "cls": Layer("cls", parts.gfl_cls),
            "reg": Layer("reg", lambda feature: scale(parts.gfl_reg(feature)).float()),
        }
