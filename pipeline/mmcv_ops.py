"""mmcv's compiled operators on top of torchvision's kernels.

mmdet imports ``mmcv.ops``, which needs the extension module ``mmcv._ext``. mmcv-lite ships without it, and no wheel of
the full mmcv exists for current torch versions. :class:`TorchvisionOps` stands in its place with torchvision's
operators (CPU and CUDA); :mod:`pipeline.mmcv_extension` offers it where no full mmcv is installed.

Deformable attention, which torchvision does not have, is mmcv's own computation of it for CPUs, on any device.

Source of the signatures: ``nms.py``, ``roi_align.py``, ``focal_loss.py`` and ``multi_scale_deform_attn.py`` in
``mmcv/ops`` of mmcv 2.1.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import nms as torchvision_nms


class TorchvisionOps(ModuleType):
    """Stand-in for ``mmcv._ext``: every operator that is not provided raises an error when it is called."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "torchvision's kernels behind mmcv's operator names")
        self.nms = nms
        self.roi_align_forward = roi_align_forward
        self.roi_align_backward = roi_align_backward
        self.sigmoid_focal_loss_forward = sigmoid_focal_loss_forward
        self.sigmoid_focal_loss_backward = sigmoid_focal_loss_backward
        self.ms_deform_attn_forward = ms_deform_attn_forward
        self.ms_deform_attn_backward = ms_deform_attn_backward

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            raise NotImplementedError(
                f"mmcv's operator '{name}' has no torchvision counterpart in pipeline/mmcv_ops.py. "
                "Install a full mmcv with compiled operators (https://mmcv.readthedocs.io, 'Build MMCV from source'), "
                "or use a detector that does not need it."
            )

        return missing


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the kept boxes, by falling score. ``boxes`` [n, 4] xyxy, ``scores`` [n].

    Raises:
        NotImplementedError: ``offset`` is not 0 (the +1 pixel convention of early detectors).
    """
    if offset != 0:
        raise NotImplementedError("nms with offset=1 is not provided by torchvision; use offset=0 or a full mmcv")
    return torchvision_nms(boxes.float(), scores.float(), float(iou_threshold))


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


def sigmoid_focal_loss_forward(
    logits: Tensor, target: Tensor, weight: Tensor, output: Tensor, *, gamma: float, alpha: float
) -> None:
    """Element-wise sigmoid focal loss of ``logits`` [n, k] for class indices ``target`` [n] into ``output`` [n, k].

    Labels outside [0, k) are background. ``weight`` [k] scales the classes; an empty tensor means none.
    Source: Lin et al., Focal Loss for Dense Object Detection, eq. 5.
    """
    output.copy_(_focal_loss(logits, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    logits: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, *, gamma: float, alpha: float
) -> None:
    """Gradient of :func:`sigmoid_focal_loss_forward` with respect to ``logits`` [n, k], into ``grad_input``."""
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(_focal_loss(leaf, target, weight, gamma, alpha).sum(), leaf)
    grad_input.copy_(gradient)


def _focal_loss(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    classes = torch.arange(logits.shape[1], device=logits.device)
    positive = (target[:, None] == classes).to(logits.dtype)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, positive, reduction="none")
    probability = logits.sigmoid()
    miss = positive * (1 - probability) + (1 - positive) * probability
    balance = positive * alpha + (1 - positive) * (1 - alpha)
    loss = balance * miss.pow(gamma) * cross_entropy
    return loss * weight if weight.numel() else loss


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
