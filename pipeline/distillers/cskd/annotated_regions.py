"""Where the boxes of a batch lie on the maps of a pyramid level.

All boxes are on every level. A frame is the size that a box is measured in and that the whole map stands for: the
published code takes the image before padding, although the map is that of the padded batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

Size = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Annotated:
    """Where the boxes of a batch lie, an entry a level.

    Attributes:
        masks: the cells that a box touches, ``[N, H, W]``, boolean.
        areas: how many they are in the batch, a scalar.
        regions: the boxes in cells, ``[K, 5]`` with the index of the image in front.
    """

    masks: list[Tensor]
    areas: list[Tensor]
    regions: list[Tensor]

    @classmethod
    def on(cls, boxes: Sequence[Tensor], frames: Sequence[Size], maps: Sequence[Tensor]) -> Self:
        """Draw boxes ``[n, 4]`` on maps ``[N, C, H, W]``; see :func:`foreground`."""
        sizes = [(level.shape[2], level.shape[3]) for level in maps]
        masks = [foreground(boxes, frames, size) for size in sizes]
        return cls(masks, [mask.sum() for mask in masks], [regions_of_boxes(boxes, frames, size) for size in sizes])


def foreground(boxes: Sequence[Tensor], frames: Sequence[Size], size: Size) -> Tensor:
    """The cells that the boxes of each image touch.

    Args:
        boxes: ``[n, 4]`` corners in pixels, one tensor an image.
        frames: height and width of each image's frame in pixels.
        size: height and width of the map in cells.

    Returns:
        ``[N, H, W]``, boolean. A cell belongs to a box from its first corner's cell to its last corner's, inclusive.
    """
    masks = []
    for corners, frame in zip(boxes, frames, strict=True):
        left, top, right, bottom = _on_map(corners, frame, size).trunc().unbind(1)
        rows, columns = (torch.arange(length, device=corners.device) for length in size)
        down = ((rows >= top[:, None]) & (rows <= bottom[:, None])).float()
        across = ((columns >= left[:, None]) & (columns <= right[:, None])).float()
        masks.append(down.T @ across > 0)
    return torch.stack(masks)


def regions_of_boxes(boxes: Sequence[Tensor], frames: Sequence[Size], size: Size) -> Tensor:
    """The boxes in cells, with the index of their image in front: ``[K, 5]`` for all ``K`` boxes of the batch."""
    return torch.cat(
        [
            torch.cat([corners.new_full((len(corners), 1), index), _on_map(corners, frame, size)], dim=1)
            for index, (corners, frame) in enumerate(zip(boxes, frames, strict=True))
        ]
    )


def _on_map(boxes: Tensor, frame: Size, size: Size) -> Tensor:
    (height, width), (down, across) = frame, size
    # In this order, as in the published code: a corner on the border of two cells must not change sides.
    return boxes / boxes.new_tensor([width, height, width, height]) * boxes.new_tensor([across, down, across, down])
