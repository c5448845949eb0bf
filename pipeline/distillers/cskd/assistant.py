"""CSKD's assistant predictors: a second set of prediction layers on the student's towers, taught by the teacher.

They let the teacher's predictions shape the student's towers without a fight with the layers that learn from the
annotations. They are dropped after training.
"""

from copy import deepcopy
from typing import Any, NamedTuple

import torch
from mmcv.cnn import Scale
from mmdet.structures.bbox import bbox_overlaps
from mmdet.utils import reduce_mean
from mmengine.model import bias_init_with_prob
from torch import Tensor, nn

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
        classifier: Any = self.get_submodule(family.predictors[0])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                reset(module)
            elif isinstance(module, Scale):
                nn.init.ones_(module.scale)
        nn.init.constant_(classifier.bias, bias_init_with_prob(_FIRST_SCORE))

    def predict(self, head: Any, family: Family, towers: dict[str, Tensor], level: int) -> Branches:
        """Predictions of one level from the towers' last features."""
        return {name: layer.apply(towers[layer.branch]) for name, layer in family.layers(head, level, self).items()}


class Taught(NamedTuple):
    """What the assistant losses are computed from, an entry of each list a level.

    Attributes:
        head: the student's head, whose own loss modules and box coder are used.
        family: its adapter.
        mine: the assistant's predictions in float32.
        known: the teacher's, a constant, in the same units.
        foreground: cells that a box touches, ``[N, H, W]``.
        assignment: the targets that the student's own losses assigned.
    """

    head: Any
    family: Family
    mine: list[Branches]
    known: list[Branches]
    foreground: list[Tensor]
    assignment: Assignment

    def positive(self, level: int) -> Tensor:
        """Indices of the level's positives."""
        return (self.assignment.labels[level] < self.head.num_classes).nonzero()[:, 0]

    def pair(self, name: str, level: int, width: int, at: Tensor) -> tuple[Tensor, Tensor]:
        """The assistant's and the teacher's rows ``[n, width]`` at the indices ``at``."""
        mine, known = (rows(maps[level][name], width)[at] for maps in (self.mine, self.known))
        return mine, known

    def priors(self, level: int, at: Tensor) -> Tensor:
        """The anchors or points at indices of the whole batch."""
        priors = self.assignment.priors[level]
        return priors[at % len(priors)]


def assistant_losses(taught: Taught, gamma: float, alpha: float) -> Losses:
    """The losses of the assistant predictors, each a list over the levels.

    Scores learn the teacher's inside the foreground and 0 outside, or, where they are qualities, the IoU of the
    assistant's box with the teacher's. Boxes learn the teacher's, and centerness its centerness, at the positives that
    the annotations select. The student's own loss modules, with their weights, compare them.

    Args:
        taught: predictions and targets.
        gamma, alpha: of the soft focal loss.
    """
    if taught.family.scores_are_qualities:
        return _quality_losses(taught)
    levels = range(len(taught.mine))
    losses = {
        "cls": [_scores(taught, level, gamma, alpha) for level in levels],
        "reg": [_boxes(taught, level) for level in levels],
    }
    if "ctr" in taught.family.outputs:
        losses["ctr"] = [_centerness(taught, level) for level in levels]
    return losses


def _scores(taught: Taught, level: int, gamma: float, alpha: float) -> Tensor:
    width = taught.head.cls_out_channels
    mine, known = (rows(maps[level]["cls"], width) for maps in (taught.mine, taught.known))
    inside = taught.foreground[level].flatten()
    targets = known.sigmoid() * inside.repeat_interleave(len(mine) // len(inside))[:, None]
    weights = taught.assignment.label_weights[level]
    return soft_focal_loss(mine, targets, weights, taught.assignment.positives, gamma, alpha)


def _boxes(taught: Taught, level: int) -> Tensor:
    at = taught.positive(level)
    priors = taught.priors(level, at)
    mine, known = (taught.family.compared(taught.head, priors, side) for side in taught.pair("reg", level, 4, at))
    weights = taught.assignment.box_weights[level][at][:, None].expand_as(mine)
    return taught.head.loss_bbox(mine, known, weights, avg_factor=taught.assignment.box_normaliser)


def _centerness(taught: Taught, level: int) -> Tensor:
    mine, known = taught.pair("ctr", level, 1, taught.positive(level))
    return taught.head.loss_centerness(mine[:, 0], known[:, 0].sigmoid(), avg_factor=taught.assignment.positives)


def _quality_losses(taught: Taught) -> Losses:
    levels = range(len(taught.mine))
    compared = [_quality_level(taught, level) for level in levels]
    total = reduce_mean(torch.stack([level.weight for level in compared]).sum()).clamp(min=1)
    return {
        "cls": [level.cls for level in compared],
        "reg": [level.bbox / total for level in compared],
        "dfl": [level.dfl / total for level in compared],
    }


class _QualityLevel(NamedTuple):
    cls: Tensor
    bbox: Tensor
    dfl: Tensor
    weight: Tensor


def _quality_level(taught: Taught, level: int) -> _QualityLevel:
    head, assignment, at = taught.head, taught.assignment, taught.positive(level)
    bins = head.reg_max + 1
    centres = head.anchor_center(taught.priors(level, at)) / head.prior_generator.strides[level][0]
    mine, known = taught.pair("reg", level, 4 * bins, at)
    box, target = (head.bbox_coder.decode(centres, head.integral(side)) for side in (mine, known))
    distances = head.bbox_coder.encode(centres, target, head.reg_max)
    logits = rows(taught.mine[level]["cls"], head.cls_out_channels)
    weights = logits[at].detach().sigmoid().amax(dim=1)
    qualities = torch.zeros_like(assignment.label_weights[level])
    qualities[at] = bbox_overlaps(box.detach(), target, is_aligned=True)
    targets = (assignment.labels[level], qualities)
    return _QualityLevel(
        cls=head.loss_cls(logits, targets, weight=assignment.label_weights[level], avg_factor=assignment.positives),
        bbox=head.loss_bbox(box, target, weight=weights, avg_factor=1.0),
        dfl=head.loss_dfl(
            mine.reshape(-1, bins), distances.reshape(-1), weight=weights.repeat_interleave(4), avg_factor=4.0
        ),
        weight=weights.sum(),
    )
