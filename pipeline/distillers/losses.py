"""Distillation losses and their parts as pure functions of float32 tensors; a loss is a scalar."""

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.distillers.standardisation import moments, standardise

FLOAT32_EPS = torch.finfo(torch.float32).eps


def standardise_like(student: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    """Give the student's channels the mean and the standard deviation of the teacher's.

    Statistics are per channel over batch and space together; gradients flow through the student's. The deviation is
    unbiased as in the published code, except for a map of one single cell, where it would not be finite.

    Args:
        student: ``[N, C, H, W]``.
        teacher: ``[N, C, H, W]``, a constant.
        eps: added to the student's deviation.

    Source: CrossKD (arXiv 2306.11369), released code, ``align_scale``.
    """
    mean, deviation = moments(teacher)
    return standardise(student, eps, mean, deviation)


def quality_focal_distillation(
    logits: Tensor, teacher_logits: Tensor, weights: Tensor | None, normaliser: float, beta: float = 1.0
) -> Tensor:
    """Quality focal loss against the teacher's scores; the modulating factor is differentiated through.

    Args:
        logits: ``[n, K]``, the cross head's.
        teacher_logits: ``[n, K]``, a constant.
        weights: ``[n]`` or none.
        normaliser: divisor of the sum.
        beta: exponent of the modulating factor.

    Source: CrossKD (arXiv 2306.11369), eq. 7; Generalized Focal Loss (arXiv 2006.04388), eq. 5.
    """
    target = teacher_logits.sigmoid()
    distance = (logits.sigmoid() - target).abs()
    modulation = distance if beta == 1 else distance.pow(beta)
    loss = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * modulation
    if weights is not None:
        loss = loss * weights[:, None]
    return loss.sum() / (normaliser + FLOAT32_EPS)


def standardised_distance(student: Tensor, teacher: Tensor, eps: float = 1e-6) -> Tensor:
    """Half the mean squared difference of the two maps, each standardised per channel over batch and space.

    It equals ``(1 - r) (M - 1) / M`` for the channels' mean Pearson correlation ``r`` and ``M = N H W``. A map of one
    single cell has no deviation: its loss is zero, with a gradient of zero.

    Args:
        student: ``[N, C, H, W]``; gradients flow through its statistics.
        teacher: ``[N, C, H, W]``, a constant.

    Source: PKD (arXiv 2207.02039), eq. 4; the deviation is unbiased as in the released code.
    """
    if student.numel() == student.shape[1]:
        return student.sum() * 0
    return F.mse_loss(standardise(student, eps), standardise(teacher, eps)) / 2


def positive_entropy(logits: Tensor, teacher_logits: Tensor, positive: Tensor, normaliser: float) -> Tensor:
    """Binary cross entropy against the teacher's probability, of the positives alone; 0 where there are none.

    Args:
        logits: ``[n]``, the cross head's.
        teacher_logits: ``[n]``, a constant.
        positive: ``[n]``, boolean.
        normaliser: divisor of the sum.
    """
    entropy = F.binary_cross_entropy_with_logits(logits[positive], teacher_logits[positive].sigmoid(), reduction="sum")
    return entropy / (normaliser + FLOAT32_EPS)


def distribution_divergence(logits: Tensor, teacher_logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Kullback-Leibler divergence of each row's distribution from the teacher's, summed over the bins.

    Args:
        logits: ``[n, bins]``.
        teacher_logits: ``[n, bins]``, a constant.

    Returns:
        ``[n]``, already multiplied by ``temperature`` squared.

    Source: Hinton et al. (arXiv 1503.02531); Localization Distillation (arXiv 2102.12252).
    """
    log_teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    log_student = F.log_softmax(logits / temperature, dim=1)
    return (log_teacher.exp() * (log_teacher - log_student)).sum(dim=1) * temperature**2


def rows(maps: Tensor, width: int) -> Tensor:
    """``[N, A * width, H, W]`` as ``[N * H * W * A, width]``."""
    return maps.permute(0, 2, 3, 1).reshape(-1, width)
