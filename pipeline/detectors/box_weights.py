"""How much each box counts in a detector's own losses: pseudo-labels by their score, uncertain ones not at all.

The weight of a box travels in its class index, because that is the one number of a box which every transform of mmdet's
carries along (mosaics and crops among them), and is taken out before a detector sees it. In the losses it does not
matter which head computes them: what a loss sends back to a prediction is multiplied by the weight of the place that
the prediction is made at. For losses that are sums over places this is the weighted sum; what they are divided by stays
as it is.

Soft Teacher (Xu et al., arXiv 2106.09018, section 3.2) weighs what is background by how sure the teacher is of it; the
weights of boxes by their scores, and of 0 for uncertain ones, are this project's own and simpler.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

_STEPS = 1000
"""Weights are multiples of its inverse."""


def coded_label(label: int, weight: float, classes: int) -> int:
    """The class index (0 to ``classes`` - 1) of a box that counts ``weight`` (0 to 1); an index itself counts 1."""
    return label + classes * (1 + round((1 - weight) * _STEPS))


def decode_labels(samples: Iterable[Any], classes: int) -> None:
    """Take the weights out of the class indices of mmdet's DetDataSamples; both kinds of instances then have `weights`.

    Those are 1 for a box that people drew.
    """
    for sample in samples:
        for instances in (sample.gt_instances, sample.get("ignored_instances")):
            if instances is None:
                continue
            code = instances.labels // classes
            instances.weights = torch.where(code > 0, 1 - (code - 1).clamp(min=0) / _STEPS, 1.0)
            instances.labels = instances.labels % classes


def weight_losses(outputs: list[list[Tensor]], samples: Sequence[Any], strides: Sequence[Any]) -> list[list[Tensor]]:
    """A dense head's outputs, of which its losses learn by the weights of places (:func:`place_weights`).

    Args:
        outputs: a list for each output of the head, with maps ``[N, C, H, W]`` of each level.
        samples: mmdet's DetDataSample an image; where no box has a weight, the outputs are returned as they are.
        strides: pixels between cells of each level, one number or (x, y).
    """
    if not _is_weighted(samples):
        return outputs
    weights = []
    for level, stride in zip(outputs[0], strides, strict=True):
        across, down = stride if isinstance(stride, tuple | list) else (stride, stride)
        height, width = level.shape[-2:]
        y, x = torch.meshgrid(
            (torch.arange(height, device=level.device) + 0.5) * down,
            (torch.arange(width, device=level.device) + 0.5) * across,
            indexing="ij",
        )
        points = torch.stack([x.flatten(), y.flatten()], dim=-1)
        rows = [place_weights(points, sample) for sample in samples]
        weights.append(torch.stack(rows).view(len(rows), 1, height, width))
    return [[_learning(maps, by) for maps, by in zip(levels, weights, strict=True)] for levels in outputs]


def weight_regions(predictions: Sequence[Tensor], rois: Tensor, samples: Sequence[Any]) -> Sequence[Tensor]:
    """A second stage's predictions, ``[R, C]`` each, of which its losses learn by the weights of the regions' centres.

    Args:
        predictions: of the regions.
        rois: ``[R, 5]``, index of the image and corners in pixels.
        samples: mmdet's DetDataSample an image, as for :func:`weight_losses`.
    """
    if not _is_weighted(samples):
        return predictions
    centres, images = (rois[:, 1:3] + rois[:, 3:]) / 2, rois[:, 0].long()
    weights = torch.ones(len(rois), device=rois.device)
    for index, sample in enumerate(samples):
        of_image = images == index
        weights[of_image] = place_weights(centres[of_image], sample)
    return [_learning(each, weights[:, None]) for each in predictions]


def place_weights(points: Tensor, sample: Any) -> Tensor:
    """What points ``[P, 2]`` (x, y in pixels) of an image count, ``[P]``.

    Inside of boxes the weight of the smallest one; else 0 within an uncertain box, and 1 where there is none.
    """
    weights = torch.ones(len(points), device=points.device)
    unsure = sample.get("ignored_instances")
    if unsure is not None and "weights" in unsure:
        weights[_inside(points, unsure.bboxes[unsure.weights == 0]).any(dim=1)] = 0.0
    sure = sample.gt_instances
    if "weights" not in sure or not len(sure):
        return weights
    boxes = sure.bboxes
    areas = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).expand(len(points), -1)
    areas = areas.masked_fill(~_inside(points, boxes), torch.inf)
    smallest, which = areas.min(dim=1)
    return torch.where(smallest.isfinite(), sure.weights[which].to(weights), weights)


def _is_weighted(samples: Sequence[Any]) -> bool:
    groups = (group for sample in samples for group in (sample.gt_instances, sample.get("ignored_instances")))
    return any(group is not None and "weights" in group and bool((group.weights < 1).any()) for group in groups)


def _inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Which of ``[P, 2]`` lie in which of ``[B, 4]``: ``[P, B]``."""
    x, y = points[:, None, 0], points[:, None, 1]
    return (x >= boxes[:, 0]) & (x <= boxes[:, 2]) & (y >= boxes[:, 1]) & (y <= boxes[:, 3])


class _WeightedGradient(torch.autograd.Function):
    """The identity, whose gradient is multiplied."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(weights)
        return maps.view_as(maps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        return gradients[0] * weights.to(gradients[0].dtype), None


def _learning(maps: Tensor, weights: Tensor) -> Tensor:
    learning: Tensor = _WeightedGradient.apply(maps, weights)
    return learning
