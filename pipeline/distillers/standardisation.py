"""Feature maps with another mean and deviation in each channel, as one operation.

Written out in PyTorch's operators it was a third of a CrossKD step on a CPU: its derivative goes through twelve maps of
full size, and ``Tensor.std`` over channels-last maps takes ten times as long as the sum of squares.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_OVER_BATCH_AND_SPACE = (0, 2, 3)


def moments(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and unbiased deviation ``[1, C, 1, 1]`` of each channel of ``[N, C, H, W]`` over batch and space.

    The deviation of a map of one single cell is 0.
    """
    mean = maps.mean(_OVER_BATCH_AND_SPACE, keepdim=True)
    return mean, _deviation(maps - mean)


def standardise(maps: Tensor, eps: float, mean: Tensor | None = None, deviation: Tensor | None = None) -> Tensor:
    """``(maps - their mean) / (their deviation + eps) * deviation + mean``, channel by channel over batch and space.

    Args:
        maps: ``[N, C, H, W]``; gradients flow through their statistics, too.
        eps: added to their deviation.
        mean: ``[1, C, 1, 1]``, a constant; none: 0.
        deviation: ``[1, C, 1, 1]``, a constant; none: 1.
    """
    constant = maps.new_zeros((1, maps.shape[1], 1, 1))
    mean = constant if mean is None else mean
    deviation = constant + 1 if deviation is None else deviation
    standardised: Tensor = _Standardise.apply(maps, eps, mean, deviation)
    return standardised


class _Standardise(torch.autograd.Function):
    """The derivative is ``a (g - mean g) - c a / (s + eps) (sum g c) / ((n - 1) s)``, its second term 0 where s is 0.

    s is the maps' deviation, a is deviation / (s + eps), c the maps less their mean, n the cells and g the gradient.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, eps: float, mean: Tensor, deviation: Tensor) -> Tensor:
        centred = maps - maps.mean(_OVER_BATCH_AND_SPACE, keepdim=True)
        own = _deviation(centred)
        scale = deviation / (own + eps)
        ctx.save_for_backward(centred, own, scale)
        ctx.eps = eps
        # In the order of the published code: very thin boxes amplify the last bit to 5e-5 of a gradient norm.
        return (centred / (own + eps)).mul_(deviation).add_(mean)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        centred, own, scale = ctx.saved_tensors
        together = (gradient * centred).sum(_OVER_BATCH_AND_SPACE, keepdim=True)
        slope = -scale / (own + ctx.eps) * together / (_degrees_of_freedom(centred) * own)
        shift = -scale * gradient.mean(_OVER_BATCH_AND_SPACE, keepdim=True)
        through_deviation = torch.addcmul(shift, centred, torch.where(own > 0, slope, 0))
        return torch.addcmul(through_deviation, gradient, scale), None, None, None


def _deviation(centred: Tensor) -> Tensor:
    squares = centred.square().sum(_OVER_BATCH_AND_SPACE, keepdim=True)
    return (squares / _degrees_of_freedom(centred)).sqrt()


def _degrees_of_freedom(maps: Tensor) -> int:
    return max(maps.numel() // maps.shape[1] - 1, 1)
