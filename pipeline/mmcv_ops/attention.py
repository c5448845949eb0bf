"""Deformable attention, which torchvision does not have: mmcv's own computation of it for CPUs, on any device.

Source of the signatures: ``mmcv/ops/multi_scale_deform_attn.py`` of mmcv 2.1.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def ms_deform_attn_forward(
    value: Tensor, shapes: Tensor, starts: Tensor, locations: Tensor, weights: Tensor, *, im2col_step: int
) -> Tensor:
    """Deformable attention, ``[N, queries, heads * channels]``.

    Args:
        value: ``[N, cells of all levels, heads, channels]``.
        shapes: height and width of each level, ``[levels, 2]``.
        starts: where each level begins in ``value``; it follows from the shapes.
        locations: x and y from 0 to 1, ``[N, queries, heads, levels, points, 2]``.
        weights: of the points, ``[N, queries, heads, levels, points]``.
        im2col_step: how many images mmcv's kernel takes at once; it changes no result.
    """
    del starts, im2col_step
    return _deformable_attention()(value, shapes, locations, weights)


def ms_deform_attn_backward(
    value: Tensor,
    shapes: Tensor,
    starts: Tensor,
    locations: Tensor,
    weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_locations: Tensor,
    grad_weights: Tensor,
    *,
    im2col_step: int,
) -> None:
    """Gradients of :func:`ms_deform_attn_forward` with respect to value, locations and weights, into ``grad_...``."""
    del starts, im2col_step
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in (value, locations, weights)]
        output = _deformable_attention()(leaves[0], shapes, leaves[1], leaves[2])
        gradients = torch.autograd.grad(output, leaves, grad_output)
    for target, gradient in zip((grad_value, grad_locations, grad_weights), gradients, strict=True):
        target.copy_(gradient)


def _deformable_attention() -> Callable[..., Tensor]:
    # Not before mmcv has imported this module's operators.
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    attention: Callable[..., Tensor] = multi_scale_deformable_attn_pytorch
    return attention
