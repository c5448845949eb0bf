"""Images so long and thin that a recipe's resizing leaves no pixel of their shorter side.

mmcv rounds that side to 0 and OpenCV then fails in the middle of a training, without the file's name.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mmcv.image import rescale_size

from pipeline.errors import RecipeError
from pipeline.recipes import Recipe

# What leaves the size of an image as it is; behind anything else the size is not known.
_KEEP_SIZE = {"LoadImageFromFile", "LoadAnnotations", "RandomFlip"}
_NAMED = 5


def refuse_strips(recipe: Recipe, split: str, steps: Iterable[Mapping[str, Any]], images: Iterable[Any]) -> None:
    """Do nothing where each image keeps a pixel.

    Args:
        recipe: named in the error.
        split: the images' split, ``train`` or ``val``.
        steps: the pipeline of its data set.
        images: mmdet's entries, with ``img_path``, ``width`` and ``height`` in pixels.

    Raises:
        RecipeError: an image is left without a pixel.
    """
    scales = list(_scales(steps))
    strips = [
        f"{image['img_path']} ({image['width']}x{image['height']})"
        for image in images
        if any(min(rescale_size((image["width"], image["height"]), scale)) < 1 for scale in scales)
    ]
    if strips:
        more = ", ..." if len(strips) > _NAMED else ""
        raise RecipeError(
            f"{recipe.path}: {split}_dataloader.dataset.pipeline resizes to {scales}, which leaves no pixel of the "
            f"shorter side of {len(strips)} image(s): {', '.join(strips[:_NAMED])}{more}; cut them into tiles, or "
            "leave them out"
        )


def _scales(steps: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, int]]:
    for step in steps:
        if step["type"] in _KEEP_SIZE:
            continue
        if step["type"] in ("Resize", "RandomChoiceResize") and step.get("keep_ratio"):
            given = step.get("scales") or [step.get("scale")]
            yield from ((scale, scale) if isinstance(scale, int) else tuple(scale) for scale in given if scale)
        return
