from collections.abc import Callable

import numpy as np
import pytest
from mmdet.datasets.transforms import Resize

from pipeline.errors import RecipeError
from pipeline.recipes import Recipe
from pipeline.training.strips import refuse_strips

LOAD = [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}]
RESIZE = {"type": "Resize", "scale": (256, 256), "keep_ratio": True}


def image(width: int, height: int) -> dict[str, object]:
    return {"img_path": f"images/{width}.png", "width": width, "height": height}


def is_resized(width: int, height: int) -> bool:
    try:
        Resize(scale=(256, 256), keep_ratio=True)(
            {"img": np.zeros((height, width, 3), np.uint8), "img_shape": (height, width)}
        )
    except Exception:
        return False
    return True


@pytest.mark.parametrize(
    ("width", "height"), [(2000, 2), (2, 2000), (1025, 2), (1024, 2), (512, 1), (513, 1), (40, 30)]
)
def test_what_mmdet_cannot_resize_is_refused_by_name(
    make_recipe: Callable[[str], Recipe], width: int, height: int
) -> None:
    recipe, steps, images = make_recipe("twin"), [*LOAD, RESIZE], [image(64, 64), image(width, height)]
    if is_resized(width, height):
        refuse_strips(recipe, "train", steps, images)
        return
    with pytest.raises(RecipeError, match=rf"of 1 image\(s\): images/{width}\.png \({width}x{height}\); cut them"):
        refuse_strips(recipe, "train", steps, images)


@pytest.mark.parametrize(
    ("steps", "refused"),
    [
        ([*LOAD, {"type": "RandomChoiceResize", "scales": [(9999, 9999), (64, 64)], "keep_ratio": True}], True),
        ([*LOAD, {"type": "Resize", "scale": 256, "keep_ratio": True}], True),
        ([*LOAD, {"type": "Resize", "scale": (256, 256), "keep_ratio": False}], False),
        ([*LOAD, {"type": "RandomCrop", "crop_size": (2, 2)}, RESIZE], False),
        (LOAD, False),
    ],
)
def test_only_a_resizing_of_whole_images_is_looked_at(
    make_recipe: Callable[[str], Recipe], steps: list[dict[str, object]], refused: bool
) -> None:
    images = [image(2000, 2)] * 7
    if not refused:
        refuse_strips(make_recipe("twin"), "val", steps, images)
        return
    with pytest.raises(RecipeError, match=r"val_dataloader.* of 7 image\(s\): .*, \.\.\.; cut them"):
        refuse_strips(make_recipe("twin"), "val", steps, images)
