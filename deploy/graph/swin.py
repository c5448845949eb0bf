"""mmdet's Swin Transformer in a form that can be traced with an open number of images."""

from types import MethodType
from typing import Any

from mmdet.models.backbones.swin import ShiftWindowMSA
from torch import Tensor, nn


def keep_batch_open(detector: nn.Module) -> None:
    """Let every window attention put its windows together again without counting images.

    mmdet 3.3 computes the number of images with ``int(...)``, which a trace keeps as the constant of its example: the
    exported graph mixes images at every other batch size. The results are the same.
    """
    for module in detector.modules():
        if isinstance(module, ShiftWindowMSA):
            module.window_reverse = MethodType(_window_reverse, module)


def _window_reverse(attention: Any, windows: Tensor, height: int, width: int) -> Tensor:
    """Windows [N * windows, w, w, C] to [N, H, W, C], as ``ShiftWindowMSA.window_reverse``."""
    side, channels = attention.window_size, windows.shape[-1]
    rows, columns = height // side, width // side
    grid = windows.view(-1, rows, columns, side, side, channels).permute(0, 1, 3, 2, 4, 5)
    return grid.reshape(-1, height, width, channels)
