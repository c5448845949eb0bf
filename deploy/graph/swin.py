"""mmdet's Swin Transformer in a form that can be traced with an open number of images."""

from typing import Any

from torch import Tensor


def window_reverse(attention: Any, windows: Tensor, height: int, width: int) -> Tensor:
    """Windows [N * windows, w, w, C] to [N, H, W, C], as ``ShiftWindowMSA.window_reverse``.

    mmdet 3.3 computes the number of images with ``int(...)``, which a trace keeps.
    """
    side, channels = attention.window_size, windows.shape[-1]
    rows, columns = height // side, width // side
    grid = windows.view(-1, rows, columns, side, side, channels).permute(0, 1, 3, 2, 4, 5)
    return grid.reshape(-1, height, width, channels)
