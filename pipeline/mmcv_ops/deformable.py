"""Deformable convolution in mmcv's signatures, without (v1) and with (v2) a mask on each sample.

Source: ``mmcv/ops/deform_conv.py`` and ``modulated_deform_conv.py`` of mmcv 2.1; Dai et al., Deformable Convolutional
Networks; Zhu et al., Deformable ConvNets v2. torchvision's kernels have no bf16, and on some devices no fp16: both are
computed in float32. ``settings`` are mmcv's keywords, whose names differ between v1 and v2.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
import torchvision  # noqa: F401  (registers the operators)
from torch import Tensor

_V1 = ("dH", "dW", "padH", "padW", "dilationH", "dilationW", "group", "deformable_group")
_V2 = ("stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w", "group", "deformable_group")


class _Grid(NamedTuple):
    """In the order of torchvision's arguments."""

    stride_h: int
    stride_w: int
    pad_h: int
    pad_w: int
    dilation_h: int
    dilation_w: int
    groups: int
    offset_groups: int

    @classmethod
    def of(cls, settings: Mapping[str, int]) -> Self:
        return cls(*(settings[name] for name in (_V1 if "dH" in settings else _V2)))


class _Operands(NamedTuple):
    """In the order of torchvision's arguments."""

    features: Tensor
    weight: Tensor
    offset: Tensor
    mask: Tensor
    bias: Tensor

    def exact(self) -> Self:
        return type(self)(*(_exact(tensor) for tensor in self))


def deform_conv_forward(
    features: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    **settings: int,
) -> None:
    """``features`` [n, c, h, w] convolved with ``weight`` [k, c / group, kH, kW] into ``output`` [n, k, h', w'].

    ``offset`` [n, 2 deformable_group kH kW, h', w']: y and x of each sample's way from its place, in cells.

    Raises:
        NotImplementedError: the offsets' maps are not of the output's size.
    """
    del columns, ones
    _check("deform_conv_forward", offset, output)
    grid = _Grid.of(settings)
    output.copy_(_forward(_unmasked(features, weight, offset), grid, use_mask=False))


def deform_conv_backward_input(
    features: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **settings: int,
) -> None:
    """Gradients of :func:`deform_conv_forward` into ``grad_input`` and ``grad_offset``."""
    del columns
    grid = _Grid.of(settings)
    gradients = _backward(grad_output, _unmasked(features, weight, offset), grid, use_mask=False)
    grad_input.copy_(gradients.features)
    grad_offset.copy_(gradients.offset)


def deform_conv_backward_parameters(
    features: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    **settings: int,
) -> None:
    """Add ``scale`` times the gradient of :func:`deform_conv_forward` with respect to the weight to ``grad_weight``."""
    del columns, ones
    grid = _Grid.of(settings)
    # The gradient of the weight does not depend on the weight, which mmcv does not give here.
    operands = _unmasked(features, torch.zeros_like(grad_weight), offset)
    grad_weight.add_(_backward(grad_output, operands, grid, use_mask=False).weight, alpha=settings["scale"])


def modulated_deform_conv_forward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    **settings: int,
) -> None:
    """As :func:`deform_conv_forward`, each sample times its ``mask`` [n, deformable_group kernel_h kernel_w, h', w'].

    ``bias`` [k] is added if ``with_bias``; else it is empty.

    Raises:
        NotImplementedError: the maps of the offsets or of the mask are not of the output's size.
    """
    del ones, columns
    _check("modulated_deform_conv_forward", offset, output)
    _check("modulated_deform_conv_forward", mask, output)
    grid = _Grid.of(settings)
    operands = _Operands(features, weight, offset, mask, bias if settings["with_bias"] else _no_bias(weight))
    output.copy_(_forward(operands, grid, use_mask=True))


def modulated_deform_conv_backward(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    **settings: int,
) -> None:
    """Gradients of :func:`modulated_deform_conv_forward` into the five tensors of their names."""
    del ones, columns
    grid = _Grid.of(settings)
    operands = _Operands(features, weight, offset, mask, bias if settings["with_bias"] else _no_bias(weight))
    gradients = _backward(grad_output, operands, grid, use_mask=True)
    grad_input.copy_(gradients.features)
    grad_weight.copy_(gradients.weight)
    grad_offset.copy_(gradients.offset)
    grad_mask.copy_(gradients.mask)
    if settings["with_bias"]:
        grad_bias.copy_(gradients.bias)


def _check(operator: str, maps: Tensor, output: Tensor) -> None:
    if (given := tuple(maps.shape[2:])) != (needed := tuple(output.shape[2:])):
        raise NotImplementedError(
            f"mmcv's operator '{operator}' is given offsets or a mask of {given[0]} x {given[1]} for an output of "
            f"{needed[0]} x {needed[1]}: torchvision's deform_conv2d takes one for each place of the output. Install a "
            "full mmcv with compiled operators (https://mmcv.readthedocs.io, 'Build MMCV from source'), or use a "
            "detector without this layer (of mmdet's, DyHead has it)."
        )


def _forward(operands: _Operands, grid: _Grid, use_mask: bool) -> Tensor:
    result: Tensor = torch.ops.torchvision.deform_conv2d(*operands.exact(), *grid, use_mask)
    return result


def _backward(grad_output: Tensor, operands: _Operands, grid: _Grid, use_mask: bool) -> _Operands:
    """The gradients, each under the name of what it is the gradient of."""
    return _Operands(
        *torch.ops.torchvision._deform_conv2d_backward(
            _exact(grad_output).contiguous(), *operands.exact(), *grid, use_mask
        )
    )


def _exact(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _unmasked(features: Tensor, weight: Tensor, offset: Tensor) -> _Operands:
    return _Operands(features, weight, offset, features.new_zeros((features.shape[0], 1)), _no_bias(weight))


def _no_bias(weight: Tensor) -> Tensor:
    return weight.new_zeros(weight.shape[0])
