"""Adapter of VarifocalNet (Zhang et al., arXiv 2008.13367) with mmdet's ``VFNetHead``."""

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import reduce_mean
from torch import Tensor
from torch.nn import functional as F

from pipeline.detectors.family import Assignment, Branches, Family, Layer, scattered

_SMALLEST_OVERLAP = 1e-6  # the bound in the head's own loss


class VFNetFamily(Family):
    """``cls`` is ``[N, K, H, W]`` quality logits, ``reg`` ``[N, 4, H, W]`` refined distances in pixels.

    A first box is read off the tower of the boxes. Deformable convolutions, one on each tower's last features, sample
    nine points of it, and what they find there refines the box and scores it: ``cls`` sits on both towers. A head in
    training gives the first box too, which its own loss alone looks at.
    """

    name = "VFNet"
    predictors = (
        "vfnet_cls", "vfnet_cls_dconv", "vfnet_reg_conv", "vfnet_reg", "scales",
        "vfnet_reg_refine_dconv", "vfnet_reg_refine", "scales_refine",
    )  # fmt: skip
    recorded = (*Family.recorded, "bbox_coder.decode")
    sums_levels = True
    scores_are_qualities = True
    reg_units = ("bbox_norm_type", "reg_denoms")

    def obstacles(self, head: Any) -> list[str]:
        if head.use_vfl:
            return []
        return ["without its Varifocal loss its scores are no qualities of boxes; set bbox_head.use_vfl to True"]

    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        parts, stride = predictors or head, head.strides[level]

        def first_boxes(feature: Tensor) -> Tensor:
            raw = parts.scales[level](parts.vfnet_reg(parts.vfnet_reg_conv(feature)))
            return raw.float().exp() * _unit(head, level)

        def star(boxes: Tensor, feature: Tensor) -> Tensor:
            return head.star_dcn_offset(boxes, head.gradient_mul, stride).to(feature.dtype)

        def scores(feature: Tensor, of_boxes: Tensor) -> Tensor:
            points = star(first_boxes(of_boxes), of_boxes)
            return parts.vfnet_cls(parts.vfnet_cls_dconv(feature, points).relu())

        def boxes(feature: Tensor) -> Tensor:
            first = first_boxes(feature)
            found = parts.vfnet_reg_refine_dconv(feature, star(first, feature)).relu()
            return parts.scales_refine[level](parts.vfnet_reg_refine(found)).float().exp() * first.detach()

        return {"cls": Layer(("cls", "reg"), scores), "reg": Layer(("reg",), boxes)}

    def predictions(self, outputs: tuple[list[Tensor], ...]) -> list[Branches]:
        return [{"cls": classes, "reg": boxes} for classes, boxes in zip(outputs[0], outputs[-1], strict=True)]

    def quality_loss(
        self, head: Any, logits: Tensor, labels: Tensor, qualities: Tensor, weights: Tensor, normaliser: float
    ) -> Tensor:
        targets = F.one_hot(labels, head.num_classes + 1)[:, : head.num_classes] * qualities[:, None]
        return head.loss_cls(logits, targets, weight=weights[:, None], avg_factor=normaliser)

    def box_loss(self, head: Any, boxes: Tensor, targets: Tensor, weights: Tensor, normaliser: float) -> Tensor:
        return head.loss_bbox_refine(boxes, targets, weights, avg_factor=normaliser)

    def in_training_units(self, head: Any, maps: Branches, level: int) -> Branches:
        return maps | {"reg": maps["reg"] / _unit(head, level)}

    def assignment(self, head: Any, results: Mapping[str, list[Any]]) -> Assignment:
        labels, weights, *_ = results["get_targets"][-1]
        lengths = [len(level) for level in labels]
        *_, wanted, refined = results["bbox_coder.decode"]
        overlaps = bbox_overlaps(refined.detach(), wanted, is_aligned=True).clamp(min=_SMALLEST_OVERLAP)
        positives = overlaps.new_tensor(len(overlaps))
        return Assignment(
            labels=labels,
            # As FCOS, by whose rule a head without use_atss assigns, it ignores none.
            label_weights=[torch.ones_like(level, dtype=torch.float) for level in labels]
            if weights is None
            else list(weights.split(lengths)),
            box_weights=scattered(overlaps, labels, head.num_classes),
            priors=results["prior_generator.grid_priors"][-1],
            positives=max((reduce_mean(positives) if head.sync_num_pos else positives).item(), 1.0),
            box_normaliser=max(reduce_mean(overlaps.sum()).item(), 1.0),
        )


def _unit(head: Any, level: int) -> int:
    return int((head.reg_denoms if head.bbox_norm_type == "reg_denom" else head.strides)[level])
