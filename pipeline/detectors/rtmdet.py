"""Adapter of RTMDet (Lyu et al., arXiv 2212.07784) with mmdet's ``RTMDetSepBNHead``."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

from pipeline.detectors.family import Assignment, Branches, Family, Layer, tower_convolutions


class RTMDetFamily(Family):
    """``cls`` is ``[N, K, H, W]`` quality logits, ``reg`` ``[N, 4, H, W]`` distances in pixels, in training too.

    Each level has batch norms and prediction layers of its own around convolutions that all share (``share_conv``).
    What the layers learn are distances in strides, or with ``exp_on_reg`` their logarithms. Quality of the boxes is
    what the assigner measured: the head divides both of its losses by the sum of it.
    """

    name = "RTMDet"
    predictors = ("rtm_cls", "rtm_reg")
    scores_are_qualities = True

    def obstacles(self, head: Any) -> list[str]:
        if not head.with_objectness:
            return []
        return ["its scores are made of two layers on two towers; set bbox_head.with_objectness to False"]

    def towers(self, head: Any, level: int) -> dict[str, Sequence[Any]]:
        towers = {"cls": head.cls_convs[level], "reg": head.reg_convs[level]}
        return {branch: tower_convolutions(tower) for branch, tower in towers.items()}

    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        parts = predictors or head
        cls, reg, stride = parts.rtm_cls[level], parts.rtm_reg[level], _stride(head, level)

        def distances(feature: Tensor) -> Tensor:
            raw = reg(feature).float()
            return (raw.exp() if head.exp_on_reg else raw) * stride

        return {"cls": Layer(("cls",), cls), "reg": Layer(("reg",), distances)}

    def boxes(self, head: Any, priors: Tensor, regression: Tensor) -> Tensor:
        # Without exponents a side may lie behind the point. Turned boxes have no overlap that means anything: mmdet's
        # GIoU of two of them goes into the millions.
        return head.bbox_coder.decode(priors, regression.clamp(min=0))

    def compared(self, head: Any, priors: Tensor, regression: Tensor) -> Tensor:
        # The same boxes, but a side behind the point still learns to come before it.
        shifts = (regression.clamp(min=0) - regression).detach()
        return head.bbox_coder.decode(priors, regression + shifts)

    def in_training_units(self, head: Any, maps: Branches, level: int) -> Branches:
        return maps | {"reg": maps["reg"] / _stride(head, level)}

    def assignment(self, head: Any, results: Mapping[str, list[Any]]) -> Assignment:
        _, labels, label_weights, _, qualities, _ = results["get_targets"][-1]
        qualities = [level.reshape(-1) for level in qualities]
        total = max(reduce_mean(torch.cat(qualities).sum()).item(), 1.0)
        return Assignment(
            labels=[level.reshape(-1) for level in labels],
            label_weights=[level.reshape(-1) for level in label_weights],
            box_weights=qualities,
            # The head asks for points with their strides.
            priors=[level[:, :2] for level in results["prior_generator.grid_priors"][-1]],
            positives=total,
            box_normaliser=total,
        )


def _stride(head: Any, level: int) -> int:
    return int(head.prior_generator.strides[level][0])
