"""The maps that a detector's heads read, as backbone and neck put them out: how coarse and how wide each is."""

from collections.abc import Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, NamedTuple

import torch
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor, nn

from pipeline.errors import RecipeError

Features = tuple[Tensor, ...]
"""FPN outputs, one ``[N, C, H, W]`` a level."""

_SIDE = 1024
"""Of the picture that strides are told by: a multiple of all that there are, and it takes no memory."""


class Level(NamedTuple):
    """One FPN output: pixels a cell, and channels."""

    stride: int
    width: int


def features_of(detector: Any, inputs: Tensor) -> Features:
    """The FPN outputs of normalised images ``[N, 3, H, W]``.

    Raises:
        RecipeError: as :func:`checked_features`.
    """
    return checked_features(detector, detector.extract_feat(inputs))


def checked_features(detector: BaseDetector, found: Any) -> Features:
    """What ``extract_feat`` of a detector returned.

    Raises:
        RecipeError: it is no list of maps.
    """
    if isinstance(found, Sequence) and all(isinstance(level, Tensor) and level.ndim == 4 for level in found):
        return tuple(found)
    raise RecipeError(
        f"{type(detector).__name__}.extract_feat gives a {type(found).__name__} and no maps [N, C, H, W], one a level: "
        "there is nothing to compare; choose another detector"
    )


def pyramid_of(detector: BaseDetector) -> list[Level]:
    """Stride and width of each FPN output, finest first as they come.

    They are those of maps and not what a head says of itself: DINO's has no priors, and a statement may be wrong. A
    copy of the detector without values runs on a picture without values, so that only shapes are computed.

    Raises:
        RecipeError: backbone and neck do not run, or give no maps.
    """
    tensors = chain(detector.parameters(), detector.buffers())
    blank = deepcopy(detector, {id(tensor): _blank(tensor) for tensor in tensors}).eval()
    try:
        with torch.no_grad():
            maps = features_of(blank, torch.zeros(1, 3, _SIDE, _SIDE, device="meta"))
    except RecipeError:
        raise
    except Exception as error:  # whatever the code of a backbone or neck stumbles over
        raise RecipeError(
            f"{type(detector).__name__}: backbone and neck do not run on a picture of {_SIDE} x {_SIDE}, by which the "
            f"strides of their maps are told: {type(error).__name__}: {error}"
        ) from error
    return [Level(round(_SIDE / level.shape[-1]), level.shape[1]) for level in maps]


def _blank(tensor: Tensor) -> Tensor:
    blank = torch.empty_like(tensor, device="meta")
    return nn.Parameter(blank, requires_grad=False) if isinstance(tensor, nn.Parameter) else blank
