"""A network whose weights are moved by no more than their own rounding: what else it might rightly have computed."""

import copy

import torch
from torch import nn


def rounded_otherwise(network: nn.Module, seed: int) -> nn.Module:
    """A copy in which each weight is multiplied by 1 - eps, 1 or 1 + eps of its type, drawn by ``seed``."""
    moved = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in moved.parameters():
            steps = torch.randint(-1, 2, weights.shape, generator=generator).to(weights)
            weights.mul_(1 + torch.finfo(weights.dtype).eps * steps)
    return moved
