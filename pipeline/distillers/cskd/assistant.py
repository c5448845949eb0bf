"""CSKD's assistant predictors: a second set of prediction layers on the student's towers, taught by the teacher.

They let the teacher's predictions shape the student's towers without a fight with the layers that learn from the
annotations. They are dropped after training.
"""

from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple

import torch
from mmcv.cnn import Scale
from mmcv.ops import DeformConv2d
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import reduce_mean
from mmengine.model import bias_init_with_prob
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pipeline.detectors import Assignment, Family
from pipeline.detectors.family import Branches
from pipeline.distillers.cskd.blocks import Levels, reset
from pipeline.distillers.cskd.cosine_losses import soft_focal_loss
from pipeline.distillers.losses import rows

_FIRST_SCORE = 0.01

Losses = dict[str, Levels]


class Predictors(nn.Module):
    """Copies of a head's prediction layers, with fresh weights.

    Args:
        head: the student's head.
        family: its adapter, which names the layers.
    """

    def __init__(self, head: Any, family: Family) -> None:
        super().__init__()
        for name in family.predictors:
            self.add_module(name, deepcopy(getattr(head, name)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | DeformConv2d):
                reset(module)
            elif isinstance(module, nn.GroupNorm | _BatchNorm):
                module.reset_parameters()
            elif isinstance(module, Scale):
                nn.init.ones_(module.scale)
        for module in self.get_submodule(family.predictors[0]).modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.constant_(module.bias, bias_init_with_prob(_FIRST_SCORE))

    def predict(self, head: Any, family: Family, towers: dict[str, Tensor], level: int) -> Branches:
        """Predictions of one level from the towers' last features."""
        return {name: layer.of(towers) for name, layer in family.layers(head, level, self).items()}


class AssistantInputs(NamedTuple):
    """What the assistant losses are computed from, an entry of each list a level.

    Attributes:
        head: the student's head, whose own loss modules and box coder are used.
        family: its adapter.
        assistant: the assistant's predictions in float32.
        teacher: the teacher's, a constant, in the same units.
        foreground: cells that a box touches, ``[N, H, W]``.
        assignment: the targets that the student's own losses assigned.
    """

    head: Any
    family: Family
    assistant: list[Branches]
    teacher: list[Branches]
    foreground: list[Tensor]
    assignment: Assignment

    def positive(self, level: int) -> Tensor:
        """Indices of the level's positives."""
        return (self.assignment.labels[level] < self.head.num_classes).nonzero()[:, 0]

    def pair(self, name: str, level: int, width: int, at: Tensor) -> tuple[Tensor, Tensor]:
        """The assistant's and the teacher's rows ``[n, width]`` at the indices ``at``."""
        rows_a, rows_t = (rows(maps[level][name], width)[at] for maps in (self.assistant, self.teacher))
        return rows_a, rows_t

    def priors(self, level: int, at: Tensor) -> Tensor:
        """The anchors or points at indices of the whole batch."""
        priors = self.assignment.priors[level]
        return priors[at % len(priors)]


def assistant_losses(inputs: AssistantInputs, gamma: float, alpha: float) -> Losses:
    """The losses of the assistant predictors, each a list over the levels.

    Scores learn the teacher's inside the foreground and 0 outside, or, where they are qualities, the IoU of the
    assistant's box with the teacher's at the positives and 0 elsewhere. Boxes learn the teacher's, and centerness its
    centerness, at the positives that the annotations select. The student's own loss modules, with their weights,
    compare them.

    Args:
        inputs: predictions and targets.
        gamma, alpha: of the soft focal loss.
    """
    if inputs.family.predicts_distributions:
        return _distribution_losses(inputs)
    scores = _qualities if inputs.family.scores_are_qualities else partial(_scores, gamma=gamma, alpha=alpha)
    levels = range(len(inputs.assistant))
    losses = {
        "cls": [scores(inputs, level) for level in levels],
        "reg": [_boxes(inputs, level) for level in levels],
    }
    if "ctr" in inputs.family.outputs:
        losses["ctr"] = [_centerness(inputs, level) for level in levels]
    return losses


def _scores(inputs: AssistantInputs, level: int, gamma: float, alpha: float) -> Tensor:
    width = inputs.head.cls_out_channels
    logits, logits_t = (rows(maps[level]["cls"], width) for maps in (inputs.assistant, inputs.teacher))
    inside = inputs.foreground[level].flatten()
    targets = logits_t.sigmoid() * inside.repeat_interleave(len(logits) // len(inside))[:, None]
    weights = inputs.assignment.label_weights[level]
    return soft_focal_loss(logits, targets, weights, inputs.assignment.positives, gamma, alpha)


def _qualities(inputs: AssistantInputs, level: int) -> Tensor:
    at = inputs.positive(level)
    priors = inputs.priors(level, at)
    # Both around one point: the IoU of distances in strides is that of the boxes.
    boxes, targets = (inputs.family.boxes(inputs.head, priors, side) for side in inputs.pair("reg", level, 4, at))
    return _quality_scores(inputs, level, boxes, targets)


def _quality_scores(inputs: AssistantInputs, level: int, boxes: Tensor, targets: Tensor) -> Tensor:
    """Scores learn how well the assistant's boxes ``[n, 4]`` of the level's positives meet the teacher's."""
    assignment = inputs.assignment
    logits = rows(inputs.assistant[level]["cls"], inputs.head.cls_out_channels)
    qualities = torch.zeros_like(assignment.label_weights[level])
    qualities[inputs.positive(level)] = bbox_overlaps(boxes.detach(), targets, is_aligned=True)
    labels, weights = assignment.labels[level], assignment.label_weights[level]
    return inputs.family.quality_loss(inputs.head, logits, labels, qualities, weights, assignment.positives)


def _boxes(inputs: AssistantInputs, level: int) -> Tensor:
    at = inputs.positive(level)
    priors = inputs.priors(level, at)
    boxes, targets = (inputs.family.compared(inputs.head, priors, side) for side in inputs.pair("reg", level, 4, at))
    weights = inputs.assignment.box_weights[level][at][:, None].expand_as(boxes)
    return inputs.family.box_loss(inputs.head, boxes, targets, weights, inputs.assignment.box_normaliser)


def _centerness(inputs: AssistantInputs, level: int) -> Tensor:
    logits, logits_t = inputs.pair("ctr", level, 1, inputs.positive(level))
    return inputs.family.centerness_loss(inputs.head, logits[:, 0], logits_t[:, 0].sigmoid(), inputs.assignment)


def _distribution_losses(inputs: AssistantInputs) -> Losses:
    levels = range(len(inputs.assistant))
    losses = [_distribution_level(inputs, level) for level in levels]
    total = reduce_mean(torch.stack([level.weight for level in losses]).sum()).clamp(min=1)
    return {
        "cls": [level.cls for level in losses],
        "reg": [level.bbox / total for level in losses],
        "dfl": [level.dfl / total for level in losses],
    }


class _DistributionLevel(NamedTuple):
    cls: Tensor
    bbox: Tensor
    dfl: Tensor
    weight: Tensor


def _distribution_level(inputs: AssistantInputs, level: int) -> _DistributionLevel:
    head, at = inputs.head, inputs.positive(level)
    bins = head.reg_max + 1
    centres = head.anchor_center(inputs.priors(level, at)) / head.prior_generator.strides[level][0]
    distributions, distributions_t = inputs.pair("reg", level, 4 * bins, at)
    box, target = (head.bbox_coder.decode(centres, head.integral(side)) for side in (distributions, distributions_t))
    distances = head.bbox_coder.encode(centres, target, head.reg_max)
    weights = rows(inputs.assistant[level]["cls"], head.cls_out_channels)[at].detach().sigmoid().amax(dim=1)
    return _DistributionLevel(
        cls=_quality_scores(inputs, level, box, target),
        bbox=head.loss_bbox(box, target, weight=weights, avg_factor=1.0),
        dfl=head.loss_dfl(
            distributions.reshape(-1, bins), distances.reshape(-1), weight=weights.repeat_interleave(4), avg_factor=4.0
        ),
        weight=weights.sum(),
    )
