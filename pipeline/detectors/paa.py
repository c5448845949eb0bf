"""Adapter of PAA (Kim and Lee, Probabilistic Anchor Assignment, arXiv 2007.08103) with mmdet's ``PAAHead``."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.structures.bbox import bbox_overlaps
from torch import Tensor

from pipeline.detectors.atss import ATSSFamily
from pipeline.detectors.family import Assignment

_SMALLEST_OVERLAP = 1e-12  # the bound in the head's own loss


class PAAFamily(ATSSFamily):
    """As ATSS, with logits of the box's IoU as ``ctr``; which anchors are positive is chosen by their own losses.

    The head weighs a positive's box by the IoU that it has reached, and divides by the sum of these.
    """

    name = "PAA"
    recorded = ("get_targets", "paa_reassign", "bbox_coder.decode", "prior_generator.grid_priors")
    sums_levels = True
    averages_normaliser = False

    def assignment(self, head: Any, results: Mapping[str, list[Any]]) -> Assignment:
        priors = results["prior_generator.grid_priors"][-1]
        lengths = [len(level) for level in priors]
        labels, weights, _, counts = zip(*results["paa_reassign"], strict=True)
        positive = torch.cat(labels) < head.num_classes
        qualities = weights[0].new_zeros(len(positive))
        if positive.any():
            wanted = torch.cat(results["get_targets"][-1][2])[positive]
            # The head's last call decodes the positives of all images.
            reached = bbox_overlaps(results["bbox_coder.decode"][-1].detach(), wanted, is_aligned=True)
            qualities = qualities.masked_scatter(positive, reached.clamp(min=_SMALLEST_OVERLAP))
        return Assignment(
            labels=_by_level(labels, lengths),
            label_weights=_by_level(weights, lengths),
            box_weights=_by_level(qualities.split(sum(lengths)), lengths),
            priors=priors,
            positives=float(max(sum(counts), len(labels))),
            box_normaliser=max(qualities.sum().item(), _SMALLEST_OVERLAP),
        )


def _by_level(images: Sequence[Tensor], lengths: list[int]) -> list[Tensor]:
    """Values of all anchors, ``[L]`` an image, as one row of numbers a level."""
    return [torch.cat(level) for level in zip(*(image.split(lengths) for image in images), strict=True)]
