"""Adapter of the GFL family (Li et al., Generalized Focal Loss, arXiv 2006.04388)."""

from typing import Any

from pipeline.detectors.family import Family, Layer


class GFLFamily(Family):
    """``cls`` is ``[N, K, H, W]`` quality logits, ``reg`` is ``[N, 4 (reg_max + 1), H, W]`` distribution logits."""

    name = "GFL"
    predictors = ("gfl_cls", "gfl_reg", "scales")
    scores_are_qualities = True
    predicts_distributions = True

    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        parts = predictors or head
        scale = parts.scales[level]
        return {
            "cls": Layer(("cls",), parts.gfl_cls),
            "reg": Layer(("reg",), lambda feature: scale(parts.gfl_reg(feature)).float()),
        }
