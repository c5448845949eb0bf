"""TOOD's head in a form that can be traced with an open number of images: mmdet's repeats the anchors for each."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import deform_conv2d


def task_aligned(head: Any, features: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """``TOODHead.forward``: of each level probabilities [N, K, h, w] and corners [N, 4, h, w] in strides."""
    found = [_level(head, maps, level) for level, maps in enumerate(features)]
    return tuple(scores for scores, _ in found), tuple(boxes for _, boxes in found)


def _level(head: Any, maps: Tensor, level: int) -> tuple[Tensor, Tensor]:
    stacked = []
    for convolution in head.inter_convs:
        maps = convolution(maps)
        stacked.append(maps)
    together = torch.cat(stacked, dim=1)
    average = F.adaptive_avg_pool2d(together, (1, 1))
    classes, aligned = head.tood_cls(head.cls_decomp(together, average)), head.cls_prob_module(together)
    raw = head.tood_reg(head.reg_decomp(together, average))
    boxes = _boxes(head, raw, level)
    sides = boxes.shape[1]
    # Each side of a box is read at a place of its own.
    sampled = deform_conv2d(boxes, head.reg_offset_module(together), boxes.new_ones(sides, 1, 1, 1))
    turned = (sampled[:, :2] > sampled[:, 2:]).any(dim=1, keepdim=True)
    return (classes.sigmoid() * aligned.sigmoid()).sqrt(), torch.where(turned, boxes, sampled)


def _boxes(head: Any, raw: Tensor, level: int) -> Tensor:
    """Corners [N, 4, h, w] in strides."""
    rows, columns = raw.shape[2:]
    stride = head.prior_generator.strides[level][0]
    anchors = head.prior_generator.single_level_grid_priors((rows, columns), level, device=raw.device)
    if head.anchor_type == "anchor_free":
        distances = head.scales[level](raw.exp())
        centres = (head.anchor_center(anchors) / stride).reshape(rows, columns, 2).permute(2, 0, 1)
        return torch.cat([centres - distances[:, :2], centres + distances[:, 2:]], dim=1)
    deltas = head.scales[level](raw).permute(0, 2, 3, 1).flatten(1, 2)
    everywhere = anchors.expand(deltas.shape[0], -1, -1).flatten(0, 1)
    boxes = head.bbox_coder.decode(everywhere, deltas.flatten(0, 1)).view_as(deltas)
    return boxes.unflatten(1, (rows, columns)).permute(0, 3, 1, 2) / stride
