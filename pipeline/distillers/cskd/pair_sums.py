"""Sums over the cells and over the channels of two maps, with gradients that keep nothing but the maps.

Written out with plain operations, each product of the maps is kept for the way back and has passes of its own over
memory there; a level of eight images of 800x1344 is 137 MB. Here the regions of a pair share their passes. Maps are
``[N, P, C]`` for ``P`` cells, which is how channels-last tensors lie in memory.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def by_cell(maps: Tensor) -> Tensor:
    """``[N, C, H, W]`` as ``[N, H W, C]``, contiguous; a view of a channels-last tensor."""
    return maps.flatten(2).transpose(1, 2).contiguous()


class PairSums(torch.autograd.Function):
    """Sums of ``s t`` and of ``s s``: of every cell over its channels, of every channel over the cells of each region.

    ``apply(student, teacher, regions)``:
        student, teacher: ``[N, P, C]``; the teacher is a constant.
        regions: ``[N, R, P]``, how much each cell counts in each of ``R`` regions; a constant.

    Returns ``s t`` and ``s s`` of the cells, ``[N, P]``, and of the channels, ``[N, R, C]``.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, regions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        ctx.save_for_backward(student, teacher, regions)
        products, squares = student * teacher, student * student
        return products.sum(2), squares.sum(2), regions @ products, regions @ squares

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, cell_products: Tensor, cell_squares: Tensor, products: Tensor, squares: Tensor
    ) -> tuple[Tensor, None, None]:
        student, teacher, regions = ctx.saved_tensors
        gradient = _outer_sum(cell_products, regions, products).mul_(teacher)
        gradient.addcmul_(student, _outer_sum(cell_squares, regions, squares), value=2)
        return gradient, None, None


def _outer_sum(of_cells: Tensor, regions: Tensor, of_channels: Tensor) -> Tensor:
    """``of_cells + sum_r regions_r of_channels_r``, ``[N, P, C]``, as one product, which writes it once."""
    ones = of_channels.new_ones(len(of_channels), 1, of_channels.shape[2])
    return torch.cat([regions, of_cells[:, None]], dim=1).transpose(1, 2) @ torch.cat([of_channels, ones], dim=1)


class WeightedErrors(torch.autograd.Function):
    """Sums of ``w (s - t)^2`` of every channel over the cells, for each of ``R`` weightings.

    ``apply(student, teacher, weights)``:
        student, teacher: ``[N, P, C]``; the teacher is a constant.
        weights: ``[N, R, P]``; gradients flow to it.

    Returns ``[N, R, C]``.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(student, teacher, weights)
        return weights @ (student - teacher).square_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor | None]:
        student, teacher, weights = ctx.saved_tensors
        differences = student - teacher
        to_student = torch.bmm(weights.transpose(1, 2), gradient).mul_(differences).mul_(2)
        to_weights = gradient @ differences.square_().transpose(1, 2) if ctx.needs_input_grad[2] else None
        return to_student, None, to_weights
