"""Adapter of YOLOX (Ge et al., arXiv 2107.08430) with mmdet's ``YOLOXHead``."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

from pipeline.detectors.family import Assignment, Branches, Family, Layer, tower_convolutions


class YOLOXFamily(Family):
    """``cls`` is ``[N, K, H, W]`` logits, ``reg`` ``[N, 4, H, W]`` shifts in strides and logarithms of sizes in them.

    The head scores a class by the product of its probability and the objectness of the place. ``cls`` here are the
    logits of that product, so that what is compared between two detectors is what they say of a picture: objectness
    sits on the tower of the boxes, and both towers learn from it. Each level has towers and layers of its own.
    """

    name = "YOLOX"
    predictors = ("multi_level_conv_cls", "multi_level_conv_reg", "multi_level_conv_obj")
    recorded = ("_get_targets_single", "assigner.assign", "prior_generator.grid_priors")
    sums_levels = True

    def towers(self, head: Any, level: int) -> dict[str, Sequence[Any]]:
        towers = {"cls": head.multi_level_cls_convs[level], "reg": head.multi_level_reg_convs[level]}
        return {branch: tower_convolutions(tower) for branch, tower in towers.items()}

    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        classes, boxes, objects = (getattr(predictors or head, name)[level] for name in self.predictors)

        def scores(feature: Tensor, of_boxes: Tensor) -> Tensor:
            return joint_logits(classes(feature), objects(of_boxes))

        return {"cls": Layer(("cls", "reg"), scores), "reg": Layer(("reg",), boxes)}

    def predictions(self, outputs: tuple[list[Tensor], ...]) -> list[Branches]:
        return [
            {"cls": joint_logits(classes, objects), "reg": boxes}
            for classes, boxes, objects in zip(*outputs, strict=True)
        ]

    def boxes(self, head: Any, priors: Tensor, regression: Tensor) -> Tensor:
        return head._bbox_decode(priors, regression)

    def box_loss(self, head: Any, boxes: Tensor, targets: Tensor, weights: Tensor, normaliser: float) -> Tensor:
        # It sums, and takes no divisor.
        return head.loss_bbox(boxes, targets, weights) / normaliser

    def assignment(self, head: Any, results: Mapping[str, list[Any]]) -> Assignment:
        priors = results["prior_generator.grid_priors"][-1]
        positive = [image[0] for image in results["_get_targets_single"]]
        # The assigner is not asked about an image without boxes, and finds no place for some of the others.
        assigned = iter([found.labels for found in results["assigner.assign"] if (found.gt_inds > 0).any()])
        labels = torch.full((len(positive), len(positive[0])), head.num_classes, device=positive[0].device)
        for row, mask in zip(labels, positive, strict=True):
            if mask.any():
                row[mask] = next(assigned)[mask]
        total = reduce_mean(torch.stack(positive).sum().float()).clamp(min=1).item()
        levels = [level.reshape(-1) for level in labels.split([len(level) for level in priors], dim=1)]
        return Assignment(
            labels=levels,
            label_weights=[torch.ones_like(level, dtype=torch.float) for level in levels],
            box_weights=[(level < head.num_classes).float() for level in levels],
            priors=priors,
            positives=total,
            box_normaliser=total,
        )


def joint_logits(classes: Tensor, objects: Tensor) -> Tensor:
    """Logits of the product of two probabilities, from theirs; ``objects`` ``[N, 1, H, W]`` goes with every class.

    ``p q / (1 - p q) = 1 / (exp(-a) + exp(-b) + exp(-a - b))`` for logits ``a`` and ``b``, which overflows nowhere.
    """
    classes, objects = classes.float(), objects.float().expand_as(classes)
    return -torch.stack([-classes, -objects, -classes - objects]).logsumexp(dim=0)
