"""mmcv's deformable convolutions of version 1 in a form that can be traced with an open number of images.

mmcv computes them in steps of at most 32 images and asserts that these divide the batch, and it pads maps that are
smaller than the kernel. torchvision's operator, which does the work in the end, needs neither.
"""

from typing import Any

from torch import Tensor
from torchvision.ops import deform_conv2d


def sampled(layer: Any, maps: Tensor, offsets: Tensor) -> Tensor:
    """``DeformConv2d.forward``: [N, C, h, w] and offsets [N, 2 g kH kW, h', w'] to [N, K, h', w']."""
    return deform_conv2d(
        maps, offsets, layer.weight, stride=layer.stride, padding=layer.padding, dilation=layer.dilation
    )


def sampled_by_itself(layer: Any, maps: Tensor) -> Tensor:
    """``DeformConv2dPack.forward``, which makes its own offsets."""
    return sampled(layer, maps, layer.conv_offset(maps))
