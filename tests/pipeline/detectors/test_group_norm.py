"""Group norm with a derivative in float32: a stock one in all but time."""

import copy

import pytest
import torch
from torch import Tensor, nn

from pipeline.detectors.group_norm import GroupNorm, differentiate_in_float32


def pair() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    stock = nn.Sequential(nn.Conv2d(4, 8, 3), nn.GroupNorm(4, 8), nn.ReLU())
    nn.init.normal_(stock[1].weight)
    mine = copy.deepcopy(stock)
    differentiate_in_float32(mine)
    return stock, mine


def gradients(network: nn.Module, dtype: torch.dtype) -> list[Tensor]:
    maps = torch.randn(2, 4, 9, 9, generator=torch.Generator().manual_seed(1))
    maps = maps.contiguous(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        output = network(maps)
    assert output.dtype == dtype
    return [output, *torch.autograd.grad(output.float().square().sum(), [maps, *network.parameters()])]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_it_computes_what_the_stock_one_does(dtype: torch.dtype) -> None:
    stock, mine = pair()
    assert isinstance(mine[1], GroupNorm)
    for expected, found in zip(gradients(stock, dtype), gradients(mine, dtype), strict=True):
        torch.testing.assert_close(found, expected, rtol=0 if dtype == torch.float32 else 1e-2, atol=1e-5)


def test_weights_keep_their_names_and_a_frozen_one_takes_no_gradient() -> None:
    stock, mine = pair()
    assert list(mine.state_dict()) == list(stock.state_dict())
    for parameter in mine[1].parameters():
        parameter.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        mine(torch.randn(1, 4, 9, 9)).float().sum().backward()
    assert mine[0].weight.grad is not None
    assert mine[1].weight.grad is None
    assert mine[1].bias.grad is None
