"""How many images of the train split a recipe trains on, and which of its options leaves the others out.

mmdet leaves them out without a word: by ``filter_cfg``, which its COCO recipes have, those without boxes and those
under 32 px.
"""

import logging
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from mmdet.registry import DATASETS

from pipeline.errors import RecipeError
from pipeline.recipes import Recipe
from pipeline.recipes.nested_datasets import innermost, layers, steps_of
from pipeline.records import DatasetRecord
from pipeline.training.cache_memory import check_cache_memory
from pipeline.training.loaders import dataset_config
from pipeline.training.strips import refuse_strips
from pipeline.training_records import SeenImages

logger = logging.getLogger(__name__)


def find_seen_images(config: Mapping[str, Any]) -> tuple[list[dict[str, Any]], SeenImages]:
    """Ask mmdet's own data set which images it keeps (its entries), and how many it has, without loading one.

    Args:
        config: an mmdet data set on COCO json, complete as the training builds it, with those around it.
    """
    config = innermost(config)
    dataset = DATASETS.build({**config, "pipeline": [], "lazy_init": True})
    with redirect_stdout(StringIO()):  # it prints that it indexes the annotations
        images = dataset.data_list = dataset.load_data_list()
    left_out: dict[str, int] = {}
    options = config.get("filter_cfg") or {}
    for key, value in options.items():
        dataset.filter_cfg = {key: value}
        left_out[f"filter_cfg.{key}={value}"] = len(images) - len(dataset.filter_data())
    dataset.filter_cfg = options
    seen = dataset.filter_data()
    if (indices := config.get("indices")) is not None:
        taken = _taken(seen, indices)
        left_out["indices"], seen = len(seen) - len(taken), taken
    left_out = {option: count for option, count in left_out.items() if count}
    return seen, SeenImages(seen=len(seen), images=len(images), left_out=left_out)


def _taken(images: list[dict[str, Any]], indices: int | Sequence[int]) -> list[dict[str, Any]]:
    """Those that mmengine takes: the first so many, the last so many where it is negative, or the listed ones."""
    if isinstance(indices, int):
        return images[:indices] if indices >= 0 else images[indices:]
    return [images[index] for index in indices]


def announce_seen_images(recipe: Recipe, dataset: DatasetRecord, dataset_dir: Path, workers: int = 0) -> SeenImages:
    """Count those of the prepared data set, and say it where some are left out.

    Args:
        recipe: to train.
        dataset, dataset_dir: the prepared data set.
        workers: processes that load images for one that trains.

    Raises:
        RecipeError: no image is left to train on, or one is too thin for the recipe (:mod:`pipeline.training.strips`).
        TrainingError: those that the recipe keeps in memory have no room (:mod:`pipeline.training.cache_memory`).
    """
    found = SeenImages(seen=0, images=0, left_out={})
    images: list[dict[str, Any]] = []
    for split in ("val", "train"):
        template = recipe.config[f"{split}_dataloader"].dataset
        images, found = find_seen_images(dataset_config(template, recipe, dataset, dataset_dir, split))
        refuse_strips(recipe, split, [step for _, step in steps_of(template)], images)
    check_cache_memory(recipe, images, workers)
    left_out = ", ".join(f"{count} by {option}" for option, count in found.left_out.items())
    key = ".".join(["train_dataloader", *("dataset" for _ in layers(recipe.config.train_dataloader.dataset))])
    told = f"{recipe.name}: training sees {found.seen} of {found.images} images; {key} leaves out {left_out}"
    cure = f"override it under `options` in params.yaml, such as `{key}.{_option(found)}`, to train on them"
    if not found.seen:
        raise RecipeError(f"{recipe.path}: {told}; {cure}")
    if found.left_out:
        logger.warning("%s; %s", told, cure)
    return found


def _option(found: SeenImages) -> str:
    """The first option with a value that leaves nothing out."""
    off: dict[str, Any] = {"filter_cfg.filter_empty_gt": "false", "filter_cfg.min_size": 0}
    key = next(iter(found.left_out), "filter_cfg").partition("=")[0]
    return f"{key}: {off.get(key, 'null')}"
