"""The arguments that CSKD has for every kind of detector."""

from collections.abc import Callable, Sequence

from pipeline.detectors import Batch
from pipeline.distillers.cskd.annotated_regions import Size
from pipeline.distillers.cskd.blocks import NeckWeights
from pipeline.distillers.cskd.cosine_losses import Weights
from pipeline.errors import RecipeError

Pair = Sequence[float]
"""Weight of the guided squared error, and weight of the cosine distances."""

Frames = Callable[[Batch], list[Size]]
"""What the boxes of each image are measured in."""

_FRAMES: dict[str, Frames] = {
    "image": lambda batch: batch.image_shapes,
    "batch": lambda batch: [batch.input_shape] * len(batch.image_shapes),
}


def frames_of(box_frame: str) -> Frames:
    """What a box is measured in before it is drawn on a level; raises :class:`RecipeError` for an unknown word."""
    if box_frame not in _FRAMES:
        raise RecipeError(f"CSKD: box_frame is {box_frame!r}; choose one of {list(_FRAMES)}")
    return _FRAMES[box_frame]


def weight_pair(name: str, given: Pair | None, published: Pair) -> Weights:
    """The weights of an argument of that name; raises :class:`RecipeError` if they are not two."""
    pair = published if given is None else given
    if not isinstance(pair, Sequence) or len(pair) != 2:
        raise RecipeError(
            f"CSKD: {name} is {pair!r}; give two numbers: of the squared error and of the cosine distance"
        )
    return Weights(*pair)


def neck_weights(neck: Pair | None, roi: Pair | None, mask: Pair | None, published: Pair) -> NeckWeights:
    """The weights of the arguments ``neck_weight``, ``roi_weight`` and ``mask_weight``."""
    return NeckWeights(
        weight_pair("neck_weight", neck, published),
        weight_pair("roi_weight", roi, published),
        weight_pair("mask_weight", mask, published),
    )
