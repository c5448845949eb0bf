"""A resolved recipe, as all stages behind ``recipes`` read it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from deploy.runtime.errors import shown
from deploy.runtime.text_files import MissingText, UnreadableText, parse_json, read_text
from pipeline.errors import RecipeError
from pipeline.layout import origin_file
from pipeline.recipe_records import RecipeOrigin
from pipeline.recipes.registered import check_types
from pipeline.recipes.shape import check_shape, reason, resize_scale
from pipeline.recipes.tuples import decode
from pipeline.setting_types import WeightsFile


@dataclass(frozen=True)
class Recipe:
    """A resolved recipe.

    Attributes:
        path: the file that it was written in.
        init: a detector's weights that the training starts from.
        published: AP on COCO's val2017 by role (``student``, ``distilled``, ``teacher``), where some was published.
        sha256: that of the resolved content.
    """

    name: str
    path: Path
    config: Config
    classes: list[str]
    method: str
    sha256: str
    init: WeightsFile | None = None
    published: dict[str, float | None] = field(default_factory=dict)

    @property
    def has_methods(self) -> bool:
        """Whether a teacher takes part in the training; pseudo-labels need none."""
        return bool(self.config.get("distillation", {}).get("methods"))

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width in pixels of the canvas that the detector is trained and shipped for."""
        height, width = self.config.input_size
        return int(height), int(width)

    @property
    def test_scale(self) -> tuple[int, int]:
        """Pixels that the longer and the shorter side of an image may have, by the test pipeline's ``Resize``.

        Raises:
            RecipeError: ``val_dataloader.dataset.pipeline`` has not one ``Resize`` with ``keep_ratio`` and a scale.
        """
        return resize_scale(self.config.val_dataloader.dataset.get("pipeline", []), self.path)


def load_resolved(path: Path) -> Recipe:
    """Read a resolved recipe; raises :class:`RecipeError` naming the file when it is missing or damaged."""
    try:
        text = read_text(path)
        content = parse_json(text)
        decoded = decode(content["config"])
        check_shape(decoded, path)
        check_types(decoded, path)
        config = Config(decoded)
        origin = RecipeOrigin.read(origin_file(path))
        if backbone := config.get("backbone_weights"):
            backbone["sources"] = origin.backbone_sources
        return Recipe(
            name=path.stem,
            path=Path(origin.path),
            config=config,
            classes=_names(content["classes"]),
            method=method_name(config),
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            init=_init(content.get("init"), origin.init_sources),
            published=origin.published,
        )
    except MissingText as error:
        raise RecipeError(f"{path}: no such resolved recipe; run `dvc repro recipes`") from error
    except (UnreadableText, KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"{path}: not a resolved recipe ({reason(error)}); run `dvc repro recipes`") from error


def method_name(config: Mapping[str, Any]) -> str:
    """The distillation methods of a recipe joined by ``+``, pseudo-labels among them, or ``none``."""
    methods = [method["type"] for method in config.get("distillation", {}).get("methods", [])]
    return "+".join([*methods, *(["pseudo-labels"] if pseudo_label_ratio(config) else [])]) or "none"


def pseudo_label_ratio(config: Mapping[str, Any]) -> float | None:
    """Pictures with pseudo-labels for each labelled one in a training; none without them."""
    pseudo_labels = config.get("distillation", {}).get("pseudo_labels")
    return float(pseudo_labels["ratio"]) if pseudo_labels else None


def _init(digest: Any, sources: list[str]) -> WeightsFile | None:
    return None if digest is None else WeightsFile.model_validate({**digest, "sources": sources})


def _names(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"classes must be names, got {shown(value)}")
    return value
