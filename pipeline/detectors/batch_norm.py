"""Folding batch norm into the convolutions before it, for detectors that are only evaluated."""

from copy import deepcopy

from mmcv.cnn.utils.fuse_conv_bn import fuse_conv_bn
from torch import nn


def fold_batch_norm(detector: nn.Module) -> nn.Module:
    """Fold every batch norm that follows a convolution into it, in place; outputs in evaluation stay the same."""
    return fuse_conv_bn(separate_convolutions(detector))


def separate_convolutions(detector: nn.Module) -> nn.Module:
    """Give each module that shares a convolution with others a copy of its own, in place; outputs stay the same.

    RTMDet's levels share theirs and have batch norms of their own, which whoever folds them (mmcv's function, ONNX's
    optimisers, OpenVINO with int8 weights) would all multiply into the one convolution.
    """
    seen: set[nn.Module] = set()
    for parent in list(detector.modules()):
        for name, child in parent.named_children():
            if not isinstance(child, nn.Conv2d):
                continue
            if child in seen:
                setattr(parent, name, deepcopy(child))
            seen.add(child)
    return detector
