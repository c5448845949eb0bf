"""A recipe at another size of pictures."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import RecipeError
from pipeline.recipes.consistency import check_sizes
from pipeline.recipes.input_size import at_input_size
from pipeline.recipes.shape import check_shape
from tests.recipe_files import RECIPES, recipe_of


def recipe(*training: dict[str, Any]) -> dict[str, Any]:
    load, pack = {"type": "LoadImageFromFile"}, {"type": "PackDetInputs"}
    resize = {"type": "Resize", "scale": (1333, 800), "keep_ratio": True}
    return {
        "input_size": (800, 1344),
        "model": {"data_preprocessor": {"pad_size_divisor": 32}},
        "train_dataloader": {"dataset": {"pipeline": [load, *(training or (resize,)), pack]}},
        "val_dataloader": {"dataset": {"pipeline": [load, resize, pack]}},
    }


def test_the_canvas_is_the_scale_and_the_training_keeps_its_ratio_to_it() -> None:
    ranged = {"type": "RandomResize", "scale": [(1333, 480), (1333, 800)], "keep_ratio": True}
    assert at_input_size(recipe(ranged), (320, 512), "it") == {
        "input_size": [320, 512],
        "train_dataloader.dataset.pipeline.1.scale": [(512, 192), (512, 320)],
        "val_dataloader.dataset.pipeline.1.scale": (512, 320),
    }


def test_pictures_higher_than_wide_get_a_canvas_of_their_own() -> None:
    found = at_input_size(recipe(), (640, 384), "it")
    assert (found["input_size"], found["val_dataloader.dataset.pipeline.1.scale"]) == ([640, 384], (640, 384))


def test_a_list_of_scales_of_one_side_is_one_of_both() -> None:
    several = {"type": "RandomChoiceResize", "scales": [800, 400], "keep_ratio": True}
    found = at_input_size(recipe(several), (416, 672), "it")
    key = "train_dataloader.dataset.pipeline.1.scales"
    assert found[key] == [(403, 416), (202, 208)]


def test_a_size_that_the_network_pads_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"it: input_size is \[300, 330\].* multiples of 32: \[288, 320\] is"):
        at_input_size(recipe(), (300, 330), "it")


def test_a_pipeline_that_sizes_by_something_else_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"input_size: train_dataloader\.dataset\.pipeline sizes pictures by"):
        at_input_size(recipe({"type": "RandomCrop", "crop_size": (256, 256)}), (320, 320), "it")


# They put pictures together and cut pieces out, by sizes of their own.
MIXING = [path for path in RECIPES if "_300e_" in path.stem]


@pytest.mark.parametrize("path", MIXING, ids=lambda path: path.stem)
def test_recipes_that_put_pictures_together_keep_their_own_size(path: Path) -> None:
    with pytest.raises(RecipeError, match=rf"{path.stem}\.py: input_size: train_dataloader\.dataset\.pipeline sizes"):
        at_input_size(recipe_of(path).to_dict(), (256, 256), path)


@pytest.mark.parametrize("path", [path for path in RECIPES if path not in MIXING], ids=lambda path: path.stem)
@pytest.mark.parametrize("size", [(256, 256), (384, 640), (640, 384)])
def test_every_recipe_is_consistent_at_any_size(path: Path, size: tuple[int, int]) -> None:
    config = recipe_of(path)
    config.merge_from_dict(at_input_size(config.to_dict(), size, path))
    check_shape(config.to_dict(), path)
    check_sizes(config.to_dict(), path)
    assert tuple(config.input_size) == size


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_size_of_every_recipe_changes_nothing(path: Path) -> None:
    config = recipe_of(path)
    assert at_input_size(config.to_dict(), tuple(config.input_size), path) == {}


def test_a_recipe_that_cannot_be_resized_keeps_its_own_size() -> None:
    cropping = recipe({"type": "RandomCrop", "crop_size": (256, 256)})
    assert at_input_size(cropping, (800, 1344), "it") == {}
