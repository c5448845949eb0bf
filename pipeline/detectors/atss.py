"""Adapter of ATSS (Zhang et al., arXiv 1912.02424)."""

from typing import Any

from pipeline.detectors.family import Family, Layer, Published


class ATSSFamily(Family):
    """``cls`` is ``[N, K, H, W]`` logits, ``reg`` ``[N, 4, H, W]`` deltas, ``ctr`` ``[N, 1, H, W]`` logits."""

    outputs = ("cls", "reg", "ctr")
    published = Published(center_weight=1.0, feature_weight=1.0)

    def layers(self, head: Any, level: int) -> dict[str, Layer]:
        scale = head.scales[level]
        return {
            "cls": Layer("cls", head.atss_cls),
            "reg": Layer("reg", lambda feature: scale(head.atss_reg(feature)).float()),
            "ctr": Layer("reg", head.atss_centerness),
        }
