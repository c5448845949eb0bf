"""What trainings start from: the best weights that can be had here, fetched before anything is trained."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mmengine.config import Config

from pipeline.errors import CheckpointError
from pipeline.layout import CACHE
from pipeline.recipes import read_recipe
from pipeline.recipes.load_from import init_of
from pipeline.setting_types import WeightsFile
from pipeline.training.backbone import weights_of
from pipeline.weight_sources import fetch


def starting_point(teacher: Path) -> dict[str, Any] | None:
    """``teacher.init`` for a teacher that is trained here: its published COCO weights where a source gives them.

    Returns:
        its ``checkpoint``, as a section of ``params.yaml``; None where it starts from its own ``load_from``, or its
        backbone's ImageNet weights.

    Raises:
        CheckpointError: neither can be had; the message names every source of both.
    """
    config = read_recipe(teacher)
    if (checkpoint := config.get("checkpoint")) is None:
        _fetch_backbone(config)
        return None
    published: dict[str, Any] = checkpoint.to_dict()
    weights = WeightsFile.model_validate(published)
    try:
        fetch(weights.sources, weights.digest, CACHE)
        return published
    except CheckpointError as error:
        first = str(error)
    try:
        _fetch_backbone(config)
        return None
    except CheckpointError as error:
        raise CheckpointError(f"{teacher}: neither its COCO weights:\n{first}\nnor its backbone's:\n{error}") from error


def fetch_backbones(recipes: Iterable[Path]) -> None:
    """Have what students start from here before hours of their teacher's training: ``load_from``, or the backbone's.

    Raises:
        CheckpointError: no source gives them; names the recipe and every source.
    """
    for path in recipes:
        try:
            _fetch_backbone(read_recipe(path))
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from error


def _fetch_backbone(config: Config) -> None:
    if init := init_of(config, config.filename):
        fetch(init.sources, init.digest, CACHE)
    elif source := config.get("backbone_weights"):
        weights = weights_of(source)
        fetch(weights.sources, weights.digest, CACHE)
