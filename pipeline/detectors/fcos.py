"""Adapter of FCOS (Tian et al., arXiv 1904.01355)."""

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

from pipeline.detectors.family import Assignment, Branches, Family, Layer, scattered

_SMALLEST_CENTERNESS = 1e-6  # the bound in the head's own loss


class FCOSFamily(Family):
    """``cls`` is ``[N, K, H, W]`` logits, ``reg`` ``[N, 4, H, W]`` distances, ``ctr`` ``[N, 1, H, W]`` logits.

    The distances are pixels, but a head with ``norm_on_bbox`` that is in training mode predicts them in strides.
    """

    name = "FCOS"
    outputs = ("cls", "reg", "ctr")
    predictors = ("conv_cls", "conv_reg", "conv_centerness", "scales")
    recorded = (*Family.recorded, "centerness_target")
    sums_levels = True
    reg_units = ("norm_on_bbox",)

    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        parts = predictors or head

        def distances(feature: Tensor) -> Tensor:
            raw = parts.scales[level](parts.conv_reg(feature)).float()
            if not head.norm_on_bbox:
                return raw.exp()
            return raw.clamp(min=0) if head.training else raw.clamp(min=0) * head.strides[level]

        return {
            "cls": Layer(("cls",), parts.conv_cls),
            "reg": Layer(("reg",), distances),
            "ctr": Layer(("reg" if head.centerness_on_reg else "cls",), parts.conv_centerness),
        }

    def in_training_units(self, head: Any, maps: Branches, level: int) -> Branches:
        if not head.norm_on_bbox or head.training:
            return maps
        return maps | {"reg": maps["reg"] / head.strides[level]}

    def assignment(self, head: Any, results: Mapping[str, list[Any]]) -> Assignment:
        labels, _ = results["get_targets"][-1]
        centerness = results["centerness_target"][-1].detach()
        positives = reduce_mean(centerness.new_tensor(len(centerness)))
        total = max(reduce_mean(centerness.sum()).item(), _SMALLEST_CENTERNESS)
        return Assignment(
            labels=labels,
            label_weights=[torch.ones_like(level, dtype=torch.float) for level in labels],
            box_weights=scattered(centerness, labels, head.num_classes),
            priors=results["prior_generator.grid_priors"][-1],
            positives=max(positives.item(), 1.0),
            box_normaliser=total,
        )
