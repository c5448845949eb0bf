"""Adapter of ATSS (Zhang et al., arXiv 1912.02424)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from mmdet.utils import reduce_mean

from pipeline.detectors.family import Assignment, Family, Layer, scattered


class ATSSFamily(Family):
    """``cls`` is ``[N, K, H, W]`` logits, ``reg`` ``[N, 4, H, W]`` deltas, ``ctr`` ``[N, 1, H, W]`` logits."""

    name = "ATSS"
    outputs = ("cls", "reg", "ctr")
    predictors = ("atss_cls", "atss_reg", "atss_centerness", "scales")
    recorded = (*Family.recorded, "centerness_target")

    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        parts = predictors or head
        scale = parts.scales[level]
        return {
            "cls": Layer(("cls",), parts.atss_cls),
            "reg": Layer(("reg",), lambda feature: scale(parts.atss_reg(feature)).float()),
            "ctr": Layer(("reg",), getattr(parts, self.predictors[2])),
        }

    def assignment(self, head: Any, results: Mapping[str, list[Any]]) -> Assignment:
        found = super().assignment(head, results)
        # The head asks for them level by level, and only where a level has positives.
        centerness = torch.cat([*results["centerness_target"], found.box_weights[0][:0]])
        return replace(
            found,
            box_weights=scattered(centerness, found.labels, head.num_classes),
            box_normaliser=max(reduce_mean(centerness.sum()).item(), 1.0),
        )
