"""Standardised maps and their derivative against PyTorch's own operators."""

import pytest
import torch
from torch import Tensor

from pipeline.distillers.standardisation import moments, standardise

AXES = (0, 2, 3)


def written_out(maps: Tensor, eps: float, mean: Tensor, deviation: Tensor) -> Tensor:
    own = maps.std(AXES, keepdim=True)
    return (maps - maps.mean(AXES, keepdim=True)) / (own + eps) * deviation + mean


@pytest.mark.parametrize("order", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 2, 1, 2), (3, 1, 1, 1)])
def test_values_and_derivative(shape: tuple[int, ...], order: torch.memory_format) -> None:
    torch.manual_seed(0)
    maps = (5 * torch.randn(shape, dtype=torch.float64) + 2).contiguous(memory_format=order).requires_grad_()
    mean, deviation = moments(torch.randn(shape, dtype=torch.float64) * 3 - 1)
    upstream = torch.randn(shape, dtype=torch.float64)
    expected, found = (each(maps, 1e-3, mean, deviation) for each in (written_out, standardise))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    gradients = [torch.autograd.grad(each, maps, upstream)[0] for each in (expected, found)]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-10, atol=1e-12)


def test_without_constants_it_is_mean_0_and_deviation_1() -> None:
    found = standardise(torch.randn(4, 2, 8, 8, dtype=torch.float64) * 7 + 3, 0.0)
    mean, deviation = moments(found)
    torch.testing.assert_close(mean, torch.zeros_like(mean), rtol=0, atol=1e-14)
    torch.testing.assert_close(deviation, torch.ones_like(deviation))


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 4, 4)], ids=["one cell", "one value"])
def test_a_channel_without_deviation_has_finite_gradients(shape: tuple[int, ...]) -> None:
    maps = torch.full(shape, 2.0, requires_grad=True)
    mean, deviation = torch.full((1, 3, 1, 1), 5.0), torch.full((1, 3, 1, 1), 0.5)
    found = standardise(maps, 1e-6, mean, deviation)
    assert torch.equal(found, mean.expand(shape))
    (gradient,) = torch.autograd.grad(found.sum(), maps)
    assert torch.isfinite(gradient).all()


def test_moments_are_those_of_torch() -> None:
    maps = (3 * torch.randn(2, 5, 6, 7) - 40).contiguous(memory_format=torch.channels_last)
    deviation, mean = torch.std_mean(maps.double(), AXES, keepdim=True)
    found_mean, found_deviation = moments(maps)
    torch.testing.assert_close(found_mean.double(), mean, rtol=1e-6, atol=0)
    torch.testing.assert_close(found_deviation.double(), deviation, rtol=1e-5, atol=0)
