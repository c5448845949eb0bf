"""From images as one detector normalises them to the same images as another one does."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

from torch import Tensor


class Normalisation(NamedTuple):
    """What a data preprocessor subtracts and divides by, channel by channel, and whether it swaps red and blue first.

    Pixels are 0 to 255. Numbers are rounded to 4 digits, so that two ways of writing one normalisation are equal.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    is_swapped: bool

    @classmethod
    def of(cls, preprocessor: Any) -> Self:
        """That of mmdet's ``DetDataPreprocessor``."""
        swapped = bool(getattr(preprocessor, "_channel_conversion", False))
        if not getattr(preprocessor, "_enable_normalize", False):
            return cls((0.0,), (1.0,), swapped)
        parts = (preprocessor.mean, preprocessor.std)
        mean, std = (tuple(round(value, 4) for value in part.flatten().tolist()) for part in parts)
        return cls(mean, std, swapped)


def renormalised(
    images: Tensor, own: Normalisation, wanted: Normalisation, image_shapes: Sequence[tuple[int, int]]
) -> Tensor:
    """Images in another normalisation; they themselves where it is theirs.

    Args:
        images: ``[N, 3, H, W]``, normalised by ``own``.
        wanted: what they are to be normalised by.
        image_shapes: height and width of each image without its padding, which becomes 0, as mmdet pads.
    """
    if own == wanted:
        return images
    mean_own, std_own, mean, std = (
        images.new_tensor(values)[:, None, None] for values in (own.mean, own.std, wanted.mean, wanted.std)
    )
    pixels = images * std_own + mean_own
    if own.is_swapped != wanted.is_swapped:
        pixels = pixels.flip(1)
    pixels = (pixels - mean) / std
    for image, (height, width) in zip(pixels, image_shapes, strict=True):
        image[:, height:] = 0
        image[:, :, width:] = 0
    return pixels
