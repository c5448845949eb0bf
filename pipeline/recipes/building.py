"""The stock mmdet detector of a recipe, with random weights."""

from pathlib import Path

from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict

from pipeline.errors import RecipeError
from pipeline.recipes.recipe import Recipe


def build_detector(recipe: Recipe) -> BaseDetector:
    """Build the stock mmdet detector of a recipe with random weights; nothing is fetched.

    Its ``dataset_meta`` (mmdet's own name) holds the recipe's classes.

    Raises:
        RecipeError: mmdet cannot build the model as configured.
    """
    detector = build_plain(recipe.config, recipe.path)
    detector.dataset_meta = {"classes": list(recipe.classes)}
    return detector


def build_plain(config: Config, path: Path) -> BaseDetector:
    """Build the stock detector of a configuration as :func:`build_detector` does; ``path`` names it in the error."""
    register_all_modules(init_default_scope=True)
    try:
        return MODELS.build(without_pretrained(ConfigDict(config.model)))
    except (AssertionError, KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"{path}: mmdet cannot build the model: {error}") from error


def without_pretrained(model: ConfigDict) -> ConfigDict:
    """A copy of a model configuration in which no part initialises itself from a fetched checkpoint."""
    copy = ConfigDict()
    for key, value in model.items():
        if isinstance(value, dict) and key == "init_cfg" and value.get("type") == "Pretrained":
            copy[key] = None
        else:
            copy[key] = without_pretrained(value) if isinstance(value, dict) else value
    return copy
