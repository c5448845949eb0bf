"""VFNet's star of nine points of a box, for a head that learns nothing: it exports to few operators of ONNX.

There is no sum among them: int8 artefacts quantise sums, which is right for features and not for boxes.
"""

from typing import Any

import torch
from torch import Tensor


def star_offsets(head: Any, boxes: Tensor, gradient_mul: float, stride: int) -> Tensor:
    """``VFNetHead.star_dcn_offset``, which writes column by column into a tensor: an operator of ONNX or two each.

    Equal but for the last bit, as mmdet adds up two shares of the boxes for their gradients.

    Args:
        head: of nine points.
        boxes: distances in pixels, [N, 4, h, w].
        gradient_mul: share of the gradient that flows on, of which there is none here.
        stride: pixels a cell.

    Returns:
        [N, 18, h, w]: down and across, in cells, from where the points of a plain convolution lie.
    """
    del head, gradient_mul
    cells = boxes / stride
    left, top, right, bottom = cells.split(1, dim=1)
    nothing = torch.zeros_like(left)
    points = []
    for row, down in enumerate((-top, nothing, bottom)):
        for column, across in enumerate((-left, nothing, right)):
            points += [down - (row - 1), across - (column - 1)]
    return torch.cat(points, dim=1)
