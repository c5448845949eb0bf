"""A copy of a network, another by no more than a rounding."""

import torch
from torch import nn

from deploy.graph.rounding import rounded_otherwise


def test_weights_move_by_one_rounding_at_most_and_the_network_stays() -> None:
    network = nn.Linear(50, 40)
    before = network.weight.detach().clone()
    moved = rounded_otherwise(network, seed=3).weight.detach()
    assert torch.equal(network.weight, before)
    step = (moved / before - 1).abs()
    assert 0 < step.max() < 2.5 * torch.finfo(torch.float32).eps
    assert (moved < before).any()
    assert (moved > before).any()
    assert torch.equal(moved, rounded_otherwise(network, seed=3).weight)
    assert not torch.equal(moved, rounded_otherwise(network, seed=4).weight)
