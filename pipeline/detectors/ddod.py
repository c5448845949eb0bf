"""Adapter of DDOD (Chen et al., Disentangle Your Dense Object Detector, arXiv 2107.02963) with mmdet's ``DDODHead``."""

from collections.abc import Mapping
from typing import Any

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

from pipeline.detectors.atss import ATSSFamily
from pipeline.detectors.family import Assignment


class DDODFamily(ATSSFamily):
    """As ATSS, with logits of the box's IoU as ``ctr``; boxes and classes have positives of their own.

    Those of an :class:`Assignment` are the boxes': nothing that is distilled asks for those of the classes, whose
    assigner gives the weights and the divisor of the scores. The first convolution of a tower is mostly deformable. The
    factors that the head has for each level, by the positives that it has seen so far, are its own loss's alone.
    """

    name = "DDOD"
    predictors = ("atss_cls", "atss_reg", "atss_iou", "scales")
    recorded = ("get_cls_targets", "get_reg_targets", "prior_generator.grid_priors")

    def centerness_loss(self, head: Any, logits: Tensor, targets: Tensor, assignment: Assignment) -> Tensor:
        return head.loss_iou(logits, targets, avg_factor=assignment.box_normaliser)

    def assignment(self, head: Any, results: Mapping[str, list[Any]]) -> Assignment:
        _, _, weights, _, _, positives = results["get_cls_targets"][-1]
        _, labels, _, _, _, of_boxes = results["get_reg_targets"][-1]
        labels = [level.reshape(-1) for level in labels]
        return Assignment(
            labels=labels,
            label_weights=[level.reshape(-1) for level in weights],
            box_weights=[(level < head.num_classes).float() for level in labels],
            priors=results["prior_generator.grid_priors"][-1],
            positives=_averaged(positives, labels[0].device),
            box_normaliser=_averaged(of_boxes, labels[0].device),
        )


def _averaged(count: int, device: torch.device) -> float:
    return max(reduce_mean(torch.tensor(count, dtype=torch.float, device=device)).item(), 1.0)
