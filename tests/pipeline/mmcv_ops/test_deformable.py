"""Deformable convolutions: values and gradients equal to a computation sample by sample in float64."""

from typing import Any

import pytest
import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d, deform_conv2d, modulated_deform_conv2d
from torch import Tensor
from torch.nn import functional as F

PLAIN = {"stride": 1, "padding": 1, "dilation": 1, "groups": 1, "deform_groups": 1}
CASES = [
    PLAIN,
    {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 1, "deform_groups": 1},
    {"stride": 2, "padding": (2, 1), "dilation": (2, 1), "groups": 2, "deform_groups": 1},
    {"stride": 1, "padding": 0, "dilation": 1, "groups": 2, "deform_groups": 4},
]
KERNEL = (2, 3)


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def sample(maps: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """``maps`` [c, h, w] between cells, 0 outside (Dai et al., equations 3 and 4)."""
    low_y, low_x = int(y.floor()), int(x.floor())
    value = torch.zeros_like(maps[:, 0, 0])
    for row in (low_y, low_y + 1):
        for column in (low_x, low_x + 1):
            if 0 <= row < maps.shape[1] and 0 <= column < maps.shape[2]:
                value = value + (1 - (y - row).abs()) * (1 - (x - column).abs()) * maps[:, row, column]
    return value


def by_definition(maps: Tensor, weight: Tensor, offset: Tensor, mask: Tensor, case: dict[str, Any]) -> Tensor:
    """Equation 2 of Dai et al. and 1 of Zhu et al.: every output is a sum over the samples of its kernel."""
    stride, padding, dilation = (pair(case[name]) for name in ("stride", "padding", "dilation"))
    shifts = offset.unflatten(1, (case["deform_groups"], *KERNEL, 2))
    masks = mask.unflatten(1, (case["deform_groups"], *KERNEL))
    images = []
    for image, shift, factor in zip(maps, shifts, masks, strict=True):
        cells = []
        for i, j in ((i, j) for i in range(offset.shape[2]) for j in range(offset.shape[3])):
            taps = []
            for ky, kx in ((ky, kx) for ky in range(KERNEL[0]) for kx in range(KERNEL[1])):
                corner = (i * stride[0] - padding[0] + ky * dilation[0], j * stride[1] - padding[1] + kx * dilation[1])
                parts = [
                    factor[group, ky, kx, i, j]
                    * sample(part, *(corner[axis] + shift[group, ky, kx, axis, i, j] for axis in range(2)))
                    for group, part in enumerate(image.chunk(case["deform_groups"]))
                ]
                taps.append(torch.cat(parts))
            samples = torch.stack(taps, dim=1).chunk(case["groups"])  # [c / groups, kernel] each
            kernels = weight.flatten(2).chunk(case["groups"])
            cells.append(torch.cat([torch.einsum("kcs,cs->k", *both) for both in zip(kernels, samples, strict=True)]))
        images.append(torch.stack(cells, dim=1).reshape(len(weight), *offset.shape[2:]))
    return torch.stack(images)


def operands(case: dict[str, Any]) -> list[Tensor]:
    """Maps, weight, offsets (none of them within 0.02 of a whole number) and mask, all with gradients."""
    generator = torch.Generator().manual_seed(2)
    size = (4, 5)
    places = [
        (length + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        for length, kernel, pad, dilation, stride in zip(
            size, KERNEL, *(pair(case[name]) for name in ("padding", "dilation", "stride")), strict=True
        )
    ]
    samples = case["deform_groups"] * KERNEL[0] * KERNEL[1]
    offset = 1.5 * torch.randn(2, 2 * samples, *places, generator=generator, dtype=torch.float64)
    offset = offset.floor() + (offset - offset.floor()).clamp(0.02, 0.98)
    made = [
        torch.randn(2, 4, *size, generator=generator, dtype=torch.float64),
        torch.randn(6, 4 // case["groups"], *KERNEL, generator=generator, dtype=torch.float64),
        offset,
        torch.rand(2, samples, *places, generator=generator, dtype=torch.float64),
    ]
    return [tensor.requires_grad_() for tensor in made]


def assert_same(found: Tensor, expected: Tensor, leaves: list[Tensor]) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    factors = torch.linspace(-1, 1, found.numel(), dtype=torch.float64).reshape(found.shape)
    pairs = zip(*(torch.autograd.grad((value * factors).sum(), leaves) for value in (found, expected)), strict=True)
    for gradient, expected_gradient in pairs:
        assert expected_gradient.any()
        torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=1e-11)


@pytest.mark.parametrize("case", CASES)
def test_version_1_equals_its_definition(case: dict[str, Any]) -> None:
    maps, weight, offset, mask = operands(case)
    found = deform_conv2d(maps, offset, weight, *case.values())
    expected = by_definition(maps, weight, offset, torch.ones_like(mask), case)
    assert_same(found, expected, [maps, weight, offset])


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_version_2_equals_its_definition(case: dict[str, Any], biased: bool) -> None:
    maps, weight, offset, mask = leaves = operands(case)
    bias = torch.linspace(-1, 2, 6, dtype=torch.float64).requires_grad_() if biased else None
    found = modulated_deform_conv2d(maps, offset, mask, weight, bias, *case.values())
    expected = by_definition(maps, weight, offset, mask, case)
    if bias is not None:
        expected, leaves = expected + bias[:, None, None], [*leaves, bias]
    assert_same(found, expected, leaves)


def test_without_offsets_it_is_a_convolution() -> None:
    maps, weight = (tensor.detach().float() for tensor in operands(PLAIN)[:2])
    layer = DeformConv2d(4, 6, KERNEL, padding=1)
    layer.weight.data.copy_(weight)
    expected = F.conv2d(maps, weight, padding=1)
    torch.testing.assert_close(layer(maps, torch.zeros(2, 12, *expected.shape[2:])), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_that_of_what_goes_in_and_comes_out(dtype: torch.dtype) -> None:
    rounded = [tensor.detach().to(dtype) for tensor in operands(PLAIN)]
    results = []
    for precision in (dtype, torch.float32):
        maps, weight, offset, mask = leaves = [tensor.to(precision, copy=True).requires_grad_() for tensor in rounded]
        output = modulated_deform_conv2d(maps, offset, mask, weight, None, *PLAIN.values())
        results.append([output, *torch.autograd.grad(output.sum(), leaves)])
    for low, high in zip(*results, strict=True):
        assert low.dtype == dtype
        assert torch.equal(low, high.to(dtype))


@pytest.mark.parametrize("layer", [DeformConv2d, ModulatedDeformConv2d])
def test_offsets_of_another_size_than_the_output_are_refused(layer: type[torch.nn.Module]) -> None:
    maps, offset = torch.zeros(1, 4, 8, 8), torch.zeros(1, 18, 8, 8)
    others = [torch.zeros(1, 9, 8, 8)] if layer is ModulatedDeformConv2d else []
    with pytest.raises(NotImplementedError, match=r"conv_forward' is given .* 8 x 8 for an output of 4 x 4.*mmcv"):
        layer(4, 4, 3, stride=2, padding=1)(maps, offset, *others)
