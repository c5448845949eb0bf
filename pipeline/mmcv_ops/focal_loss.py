"""Sigmoid focal loss in mmcv's signatures. Source: ``mmcv/ops/focal_loss.py`` of mmcv 2.1."""

import torch
from torch import Tensor
from torch.nn import functional as F


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
