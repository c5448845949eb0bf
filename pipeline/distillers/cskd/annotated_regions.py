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
        """Draw boxes ``[n, 4]`` on maps ``[N, C, H, W]``; see :class:`Boxes`."""
        drawn = Boxes.of(boxes, frames)
        sizes = [(level.shape[2], level.shape[3]) for level in maps]
        masks = [drawn.foreground(size) for size in sizes]
        return cls(masks, [mask.sum() for mask in masks], [drawn.regions(size) for size in sizes])


@dataclass(frozen=True)
class Boxes:
    """All ``K`` boxes of a batch of ``N`` images.

    Attributes:
        corners: ``[K, 4]``, as shares of the width and height of their frame.
        images: ``[K]``, the index of each one's image.
        count: ``N``.
    """

    corners: Tensor
    images: Tensor
    count: int

    @classmethod
    def of(cls, boxes: Sequence[Tensor], frames: Sequence[Size]) -> Self:
        """Join the boxes of the images.

        Args:
            boxes: ``[n, 4]`` corners in pixels, one tensor an image.
            frames: height and width of each image's frame in pixels.
        """
        joined = torch.cat(tuple(boxes))
        each = [len(corners) for corners in boxes]
        images = torch.arange(len(boxes)).repeat_interleave(torch.tensor(each)).to(joined.device)
        sides = joined.new_tensor([[width, height, width, height] for height, width in frames])
        # Divided before they are multiplied, as published: a corner on the border of two cells must not change sides.
        return cls(joined / sides[images], images, len(boxes))

    def foreground(self, size: Size) -> Tensor:
        """The cells that the boxes of each image touch on a map of a size: ``[N, H, W]``, boolean.

        A cell belongs to a box from its first corner's cell to its last corner's, inclusive.
        """
        left, top, right, bottom = self._on_map(size).trunc().unbind(1)
        rows, columns = (torch.arange(length, device=self.corners.device) for length in size)
        down = ((rows >= top[:, None]) & (rows <= bottom[:, None])).float()
        across = ((columns >= left[:, None]) & (columns <= right[:, None])).float()
        own = self.images == torch.arange(self.count, device=self.images.device)[:, None]  # [N, K]
        return (own[:, None] * down.T) @ across > 0

    def regions(self, size: Size) -> Tensor:
        """The boxes in cells of a map of a size, with the index of their image in front: ``[K, 5]``."""
        return torch.cat([self.images[:, None].to(self.corners), self._on_map(size)], dim=1)

    def _on_map(self, size: Size) -> Tensor:
        down, across = size
        return self.corners * self.corners.new_tensor([across, down, across, down])
