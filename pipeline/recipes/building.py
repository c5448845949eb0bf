"""The stock mmdet detector of a recipe, with random weights."""

from pathlib import Path
from typing import Any

from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict

from deploy.runtime.errors import shown
from pipeline.errors import RecipeError
from pipeline.recipes.honoured import checkpoints_of
from pipeline.recipes.recipe import Recipe
from pipeline.recipes.shape import reason


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
        detector: BaseDetector = MODELS.build(without_pretrained(ConfigDict(config.model)))
    except Exception as error:  # a recipe's values reach every constructor of mmdet and torch
        raise RecipeError(f"{path}: mmdet cannot build the model: {reason(error)}") from error
    # A constructor may have made one of another argument (`pretrained`): mmengine would fetch it, without a hash.
    for name, module in detector.named_modules():
        for checkpoint in checkpoints_of(getattr(module, "init_cfg", None)):
            raise RecipeError(
                f"{path}: model.{name} asks for the checkpoint {shown(checkpoint)} in another way than by its own "
                "init_cfg; take that out, and list a backbone's weights under `backbone_weights`"
            )
    return detector


def without_pretrained(model: Any) -> Any:
    """A copy of a model configuration in which no part initialises itself from a fetched checkpoint."""
    if isinstance(model, dict):
        kept = ConfigDict({key: without_pretrained(value) for key, value in model.items()})
        if [*checkpoints_of(model.get("init_cfg"))]:
            kept["init_cfg"] = None
        return kept
    return type(model)(map(without_pretrained, model)) if isinstance(model, list | tuple) else model
