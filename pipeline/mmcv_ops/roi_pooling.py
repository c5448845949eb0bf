"""RoIAlign and RoIPool in mmcv's signatures. Source: ``mmcv/ops/roi_align.py`` and ``roi_pool.py`` of mmcv 2.1."""

import torch
import torchvision  # noqa: F401  (registers the operators)
from torch import Tensor


def roi_align_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Average RoIAlign of ``features`` [n, c, h, w] at ``rois`` [k, 5] into ``output`` [k, c, height, width]."""
    del argmax_y, argmax_x
    _check_average(pool_mode)
    pooled = torch.ops.torchvision.roi_align(
        features, rois, spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
    )
    output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward` with respect to the features, into ``grad_input`` [n, c, h, w]."""
    del argmax_y, argmax_x
    _check_average(pool_mode)
    size = (aligned_height, aligned_width, *grad_input.shape)
    gradient = torch.ops.torchvision._roi_align_backward(
        grad_output.contiguous(), rois, spatial_scale, *size, sampling_ratio, aligned
    )
    grad_input.copy_(gradient)


def _check_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise NotImplementedError("roi_align with pool_mode 'max' is not provided by torchvision; use 'avg'")


def roi_pool_forward(
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    *,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Maxima of ``features`` [n, c, h, w] in the cells of ``rois`` [k, 5] into ``output`` [k, c, height, width].

    ``argmax``, int32 of that shape, says where in its map each maximum is: -1 in an empty cell, whose maximum is 0.
    Source: Girshick, Fast R-CNN, section 2.1.
    """
    pooled, places = torch.ops.torchvision.roi_pool(features, rois, spatial_scale, pooled_height, pooled_width)
    output.copy_(pooled)
    argmax.copy_(places)


def roi_pool_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax: Tensor,
    grad_input: Tensor,
    *,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """Gradient of :func:`roi_pool_forward` with respect to the features, into ``grad_input`` [n, c, h, w]."""
    gradient = torch.ops.torchvision._roi_pool_backward(
        grad_output.contiguous(), rois, argmax, spatial_scale, pooled_height, pooled_width, *grad_input.shape
    )
    grad_input.copy_(gradient)
