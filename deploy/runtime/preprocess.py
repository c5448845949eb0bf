"""Resize and pad images to the input of an artefact, and map its boxes back to the original pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deploy.runtime.artefact import ArtefactSpec, named_inputs
from deploy.runtime.images import Image

Boxes = NDArray[np.float32]


@dataclass(frozen=True)
class Letterbox:
    """How one image was placed at the top left of the input canvas. Sizes are pixels (height, width)."""

    original: tuple[int, int]
    resized: tuple[int, int]

    @classmethod
    def fit(cls, original: tuple[int, int], canvas: tuple[int, int]) -> "Letterbox":
        """Largest size of the same aspect ratio within ``canvas``.

        The factor and the rounding ``int(side * factor + 0.5)`` are those of mmcv's ``imrescale``, on which training
        relies. They differ in two corners: a side never rounds to 0 (mmcv fails there), and a canvas that is not
        square is filled as it stands, where mmcv turns it to suit the image's orientation.
        """
        height, width = original
        factor = min(canvas[0] / height, canvas[1] / width)
        return cls(original, (max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))))

    @classmethod
    def within(cls, original: tuple[int, int], edges: tuple[int, int]) -> "Letterbox":
        """Largest size of the same aspect ratio whose longer and shorter side are within ``edges``.

        That of mmcv's ``imrescale`` in mmdet's ``Resize`` with ``keep_ratio``; a side never rounds to 0 (mmcv fails
        there).
        """
        longer, shorter = edges
        is_high = original[0] > original[1]
        return cls.fit(original, (longer, shorter) if is_high else (shorter, longer))

    def to_original(self, boxes: Boxes) -> Boxes:
        """Map boxes ``[n, 4]`` (x1, y1, x2, y2) from canvas pixels to original pixels, clipped to the image."""
        height, width = self.original
        factor_y, factor_x = self.resized[0] / height, self.resized[1] / width
        scaled = boxes / np.array([factor_x, factor_y, factor_x, factor_y], np.float32)
        limit = np.array([width, height, width, height], np.float32)
        return np.clip(scaled, np.float32(0), limit).astype(np.float32, copy=False)


def letterbox(images: list[Image], spec: ArtefactSpec) -> tuple[Image, list[Letterbox]]:
    """Place BGR images on the input canvas of an artefact.

    Args:
        images: uint8 ``[H, W, 3]`` each, BGR, any sizes; at least one.
        spec: its ``resize_rule`` says how large images and canvas are.

    Returns:
        The batch, uint8 ``[N, H, W, 3]`` in the artefact's colour order, and one placement per image. A single image
        that already fits is returned as a view of itself, without a copy.
    """
    canvas, placements = _place_all([(image.shape[0], image.shape[1]) for image in images], spec)
    reverse = spec.color_order == "rgb"
    fits = placements[0].original == placements[0].resized == canvas
    if len(images) == 1 and fits and images[0].flags.c_contiguous and not reverse:
        return images[0][None], placements
    batch = np.empty((len(images), *canvas, 3), np.uint8)
    for target, image, placement in zip(batch, images, placements, strict=True):
        _place(target, image, placement, spec.pad_value, reverse)
    return batch, placements


def graph_inputs(images: list[Image], spec: ArtefactSpec) -> dict[str, NDArray[Any]]:
    """All inputs of an artefact's graph by name, for BGR images as :func:`letterbox` takes them."""
    batch, placements = letterbox(images, spec)
    return named_inputs(batch, sizes_of(placements) if spec.dynamic_size else None)


def sizes_of(placements: Sequence[Letterbox]) -> NDArray[np.int64]:
    """Height and width of each image on its canvas, ``[N, 2]``: the second input of an artefact of dynamic size."""
    return np.array([placement.resized for placement in placements], np.int64)


def _place_all(sizes: Sequence[tuple[int, int]], spec: ArtefactSpec) -> tuple[tuple[int, int], list[Letterbox]]:
    if spec.scale is None or spec.size_divisor is None:
        canvas = (spec.input_height, spec.input_width)
        return canvas, [Letterbox.fit(size, canvas) for size in sizes]
    placements = [Letterbox.within(size, spec.scale) for size in sizes]
    rows, columns = (max(sides) for sides in zip(*(placement.resized for placement in placements), strict=True))
    return (_rounded_up(rows, spec.size_divisor), _rounded_up(columns, spec.size_divisor)), placements


def _rounded_up(side: int, divisor: int) -> int:
    return -(-side // divisor) * divisor


def _place(target: Image, image: Image, placement: Letterbox, pad_value: tuple[int, int, int], reverse: bool) -> None:
    height, width = placement.resized
    if (height, width) != placement.original:
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        resized = image
    target[:height, :width] = resized[..., ::-1] if reverse else resized
    target[height:] = pad_value
    target[:height, width:] = pad_value
