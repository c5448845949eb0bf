"""Folding batch norm into the convolutions before it, for detectors that are only evaluated."""

from copy import deepcopy

from mmcv.cnn.utils.fuse_conv_bn import fuse_conv_bn
from torch import nn


def fold_batch_norm(detector: nn.Module) -> nn.Module:
    """Fold every batch norm that follows a convolution into it, in place; outputs in evaluation stay the same.

    A convolution that several modules share gets a copy in each: RTMDet's levels share theirs and have batch norms of
    their own, which mmcv's function would all multiply into the one convolution.
    """
    seen: set[nn.Module] = set()
    for parent in list(detector.modules()):
        for name, child in parent.named_children():
            if not isinstance(child, nn.Conv2d):
                continue
            if child in seen:
                setattr(parent, name, deepcopy(child))
            seen.add(child)
    return fuse_conv_bn(detector)
