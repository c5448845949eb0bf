"""CSKD's tensor functions: cosine-guided errors and the soft focal loss (float32 in, a scalar out).

Source: CSKD, released code of swkdn16/CSKD; the equations are written out in docs/methods.md.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.distillers.cskd.pair_sums import PairSums, WeightedErrors, by_cell

_SMALLEST_NORM = 1e-6


class Weights(NamedTuple):
    """How much a comparison weighs: ``mse`` times the guided squared error plus ``cosine`` times the cosine distances.

    A part of weight 0 is not computed.
    """

    mse: float
    cosine: float


class Comparison:
    """A student's maps beside a teacher's, whole and within regions; what these share is computed once.

    Every channel ``c`` has a similarity ``u`` (cosine over the cells of the region) and every cell ``p`` a similarity
    ``v`` (cosine over the channels). The squared error of ``(c, p)`` counts ``|1 - u| |1 - v|``: most where neither the
    channel nor the cell points where the teacher's does. A zero vector has similarity 0 to everything.

    Args:
        student: ``[N, C, H, W]``; gradients flow through the similarities too.
        teacher: ``[N, C, H, W]``, a constant.
        detach_guidance: let no gradient flow through the factor of the squared error.
        regions: ``[N, H, W]`` each, 1 inside and 0 outside; :meth:`within` takes their indices.
    """

    def __init__(
        self, student: Tensor, teacher: Tensor, detach_guidance: bool = False, regions: Sequence[Tensor] = ()
    ) -> None:
        self._student, self._teacher = by_cell(student), by_cell(teacher)
        whole = self._student.new_ones(len(student), self._student.shape[1])
        self._regions = torch.stack([whole, *(region.flatten(1).to(whole) for region in regions)], dim=1)
        cell_products, cell_squares, products, squares = PairSums.apply(self._student, self._teacher, self._regions)
        teacher_squares = self._teacher.square()
        self._cells = 1 - _cosine(cell_products, cell_squares, teacher_squares.sum(2))
        self._channels = 1 - _cosine(products, squares, self._regions @ teacher_squares)
        self._detach = detach_guidance

    def everywhere(self, weights: Weights, area: Tensor | None = None) -> Tensor:
        """The loss over all cells.

        Args:
            weights: of its two parts.
            area: number of foreground cells in the batch, to divide the sums over the cells by (times ``C`` for the
                whole sum) instead of taking their means; without any the loss is 0, with a gradient of 0.
        """
        loss = self._cells.new_zeros(())
        if weights.mse:
            errors = self._guided_errors[0]
            loss = loss + weights.mse * (errors / self._student.numel() if area is None else _over(errors, area, self))
        if weights.cosine:
            cells = self._cells.mean() if area is None else _over(self._cells.sum(), area, self)
            loss = loss + weights.cosine * (self._channels[:, 0].mean() + cells)
        return loss if area is None else loss * (area > 0)

    def within(self, weights: Weights, region: int, count_outside: bool = True) -> Tensor:
        """The loss over the cells of a region, divided by its area times ``C``; 0 for a region without cells.

        Args:
            weights: of its two parts.
            region: the index of one of those that were given.
            count_outside: as published, every cell outside counts as a cosine distance of 1: a constant without a
                gradient.
        """
        inside = self._regions[:, 1 + region]
        area = inside.sum()
        loss = self._cells.new_zeros(())
        if weights.mse:
            loss = loss + weights.mse * _over(self._guided_errors[1 + region], area, self)
        if weights.cosine:
            cells = (self._cells * inside).sum()
            if count_outside:
                cells = cells + (inside.numel() - area)
            loss = loss + weights.cosine * (self._channels[:, 1 + region].mean() + _over(cells, area, self))
        return loss * (area > 0)

    @property
    def channels(self) -> int:
        """``C``."""
        return self._student.shape[2]

    @cached_property
    def _guided_errors(self) -> Tensor:
        """``[1 + R]``: of the whole maps and of each region."""
        channels, cells = self._channels, self._cells
        if self._detach:
            channels, cells = channels.detach(), cells.detach()
        # The factor is an outer product, so it is never built.
        weights = cells.abs()[:, None] * self._regions
        return (WeightedErrors.apply(self._student, self._teacher, weights) * channels.abs()).sum((0, 2))


def cosine_guided_rows(student: Tensor, teacher: Tensor, weights: Weights, detach_guidance: bool = False) -> Tensor:
    """The loss of vectors: ``mse * mean(|1 - r| (s - t)^2) + cosine * mean(1 - r)`` with ``r`` the cosine of a row.

    Args:
        student: ``[n, D]``.
        teacher: ``[n, D]``, a constant.
        weights: of its two parts.
        detach_guidance: let no gradient flow through the factor of the squared error.

    Returns:
        A scalar; 0 with a gradient of 0 for no rows.
    """
    if not len(student):
        return student.sum() * 0
    distances = 1 - _cosine((student * teacher).sum(1), student.square().sum(1), teacher.square().sum(1))
    loss = student.new_zeros(())
    if weights.mse:
        guidance = distances.detach() if detach_guidance else distances
        loss = loss + weights.mse * (guidance.abs()[:, None] * (student - teacher).square()).mean()
    if weights.cosine:
        loss = loss + weights.cosine * distances.mean()
    return loss


def soft_focal_loss(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor | None = None,
    normaliser: float = 1.0,
    gamma: float = 2.0,
    alpha: float = 0.25,
) -> Tensor:
    """Focal loss (arXiv 1708.02002) against targets between 0 and 1.

    Args:
        logits: ``[n, K]``.
        targets: ``[n, K]``, a constant in [0, 1].
        weights: ``[n]`` or none.
        normaliser: divisor of the sum.
        gamma: exponent of the distance between probability and target.
        alpha: weight of a full target; an empty one weighs ``1 - alpha``.
    """
    probabilities = logits.sigmoid()
    distances = (1 - probabilities) * targets + probabilities * (1 - targets)
    factors = (alpha * targets + (1 - alpha) * (1 - targets)) * distances.pow(gamma)
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * factors
    if weights is not None:
        losses = losses * weights[:, None]
    return losses.sum() / normaliser


def _cosine(products: Tensor, student_squared: Tensor, teacher_squared: Tensor) -> Tensor:
    # One bound for the product of the norms, as in torch 1.10; newer versions bound each norm.
    return products / (student_squared * teacher_squared).clamp(min=_SMALLEST_NORM**2).sqrt()


def _over(total: Tensor, area: Tensor, comparison: Comparison) -> Tensor:
    return total / (area * comparison.channels).clamp(min=1)
