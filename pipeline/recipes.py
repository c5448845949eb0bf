"""Recipes: one configuration file is one teacher or one student.

A recipe is an mmengine configuration (``_base_`` inheritance, mmdet's own bases as ``mmdet::...``). The recipe owns the
model, the method and the schedule; the data stage owns the classes and the files. :func:`resolve` joins the two into
one flat JSON file, which is all that the later stages depend on: an inherited file cannot be missed, and a change that
resolves to the same recipe reruns nothing. It holds the keys that decide a training or its evaluation (``REQUIRED`` and
``OPTIONAL``); what else mmdet's own configurations set (hooks, log, visualisation) does not count here. What decides no
weight (the file's name, what was published for it) is in a file of its own (:class:`RecipeOrigin`).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict

from deploy.runtime.errors import shortened, shown
from deploy.runtime.text_files import MissingText, UnreadableText, parse_json, read_text
from pipeline import mmengine_packages
from pipeline.errors import RecipeError
from pipeline.layout import TEACHER, origin_file
from pipeline.recipe_shape import check_shape, resize_scale
from pipeline.records import DatasetRecord, RecipeOrigin
from pipeline.settings import Params
from pipeline.storage import fresh_directory, write_atomic

mmengine_packages.provide()

REQUIRED = (
    "model",
    "input_size",
    "optim_wrapper",
    "param_scheduler",
    "train_cfg",
    "train_dataloader",
    "val_dataloader",
)
COCO_CLASSES: tuple[str, ...] = tuple(CocoDataset.METAINFO["classes"])
"""The classes that published weights know and published numbers are of."""
_LONGEST_REASON = 1000
OPTIONAL = ("auto_scale_lr", "backbone_weights", "custom_hooks", "distillation")


@dataclass(frozen=True)
class Recipe:
    """A resolved recipe.

    Attributes:
        path: the file that it was written in.
        published: AP on COCO's val2017 by role (``student``, ``distilled``, ``teacher``), where some was published.
        sha256: that of the resolved content.
    """

    name: str
    path: Path
    config: Config
    classes: list[str]
    method: str
    sha256: str
    published: dict[str, float | None] = field(default_factory=dict)

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


@dataclass(frozen=True)
class ResolvedRecipe:
    """What of a recipe decides a training (``content``), and where it comes from (``origin``); both for JSON."""

    content: dict[str, Any]
    origin: RecipeOrigin


def resolve(path: Path, dataset: DatasetRecord, options: Mapping[str, Any]) -> ResolvedRecipe:
    """Read a recipe with everything it inherits and fill in the data set's classes.

    Args:
        path: the recipe, relative to the project's root.
        dataset: its classes set ``num_classes`` of every head.
        options: overrides of single keys, dotted as mmengine's ``cfg-options``.

    Raises:
        RecipeError: the file is missing or no valid configuration, a required key is absent, or an option names
            a key that the recipe does not have.
    """
    config = read_recipe(path)
    for key in options:
        _check_option(config, key, path)
    try:
        config.merge_from_dict(dict(options))
    except Exception as error:  # mmengine's own, of an option that does not fit what it overrides
        raise RecipeError(f"options of {path}: {_reason(error)}") from error
    if missing := [key for key in REQUIRED if key not in config]:
        raise RecipeError(f"{path}: the keys {missing} are missing; inherit a base of configs/_base_ that sets them")
    content = config.to_dict()
    check_shape(content, path)
    _set_num_classes(content["model"], len(dataset.classes))
    kept = {key: content[key] for key in (*REQUIRED, *OPTIONAL) if key in content}
    sources = (kept.get("backbone_weights") or {}).pop("sources", [])
    origin = RecipeOrigin(path=path.as_posix(), published=content.get("published", {}), backbone_sources=sources)
    return ResolvedRecipe({"classes": list(dataset.classes), "config": kept}, origin)


def read_recipe(path: Path) -> Config:
    """Read a recipe as it is written, with everything it inherits.

    Raises:
        RecipeError: the file is missing or no valid configuration.
    """
    try:
        return Config.fromfile(str(path))
    except Exception as error:  # a recipe is Python, and mmengine runs it
        raise RecipeError(f"{path}: cannot be read as a recipe: {type(error).__name__}: {error}") from error


def write_resolved(target: Path, resolved: ResolvedRecipe) -> None:
    """Write a resolved recipe as JSON with sorted keys, so that equal recipes are equal files; its origin beside it."""
    try:
        text = json.dumps(_encode(resolved.content, target), indent=1, sort_keys=True)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{target}: a recipe holds what json does not: {_reason(error)}") from error
    write_atomic(target, text + "\n")
    resolved.origin.write(origin_file(target))


def resolve_all(params: Params, dataset: DatasetRecord, out: Path) -> None:
    """Resolve the teacher's configuration and every student's recipe into ``out/<model>.json``, each with its origin.

    Raises:
        RecipeError: as :func:`resolve`; nothing is written then.
    """
    entries = {TEACHER: (params.teacher.config, params.teacher.options)}
    entries |= {name: (student.recipe, student.options) for name, student in params.students.items()}
    resolved = {name: resolve(path, dataset, options) for name, (path, options) in entries.items()}
    with fresh_directory(out) as scratch:
        for name, content in resolved.items():
            write_resolved(scratch / f"{name}.json", content)


def load_resolved(path: Path) -> Recipe:
    """Read a resolved recipe; raises :class:`RecipeError` naming the file when it is missing or damaged."""
    try:
        text = read_text(path)
        content = parse_json(text)
        decoded = _decode(content["config"])
        check_shape(decoded, path)
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
            published=origin.published,
        )
    except MissingText as error:
        raise RecipeError(f"{path}: no such resolved recipe; run `dvc repro recipes`") from error
    except (UnreadableText, KeyError, TypeError, ValueError) as error:
        raise RecipeError(f"{path}: not a resolved recipe ({_reason(error)}); run `dvc repro recipes`") from error


def method_name(config: Config) -> str:
    """The distillation methods of a recipe joined by ``+``, or ``none``."""
    methods = config.get("distillation", {}).get("methods", [])
    return "+".join(method["type"] for method in methods) or "none"


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
    except Exception as error:  # a recipe's values reach every constructor of mmdet and torch
        raise RecipeError(f"{path}: mmdet cannot build the model: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {shortened(str(error), _LONGEST_REASON)}"


def _names(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"classes must be names, got {shown(value)}")
    return value


def pretrained_parts(model: Mapping[str, Any], above: str = "model") -> dict[str, str]:
    """Parts of a model that ask for a fetched checkpoint, with its address, by dotted name."""
    found = {}
    for key, value in model.items():
        if isinstance(value, dict) and key == "init_cfg" and value.get("type") == "Pretrained":
            found[above] = str(value.get("checkpoint"))
        elif isinstance(value, dict):
            found |= pretrained_parts(value, f"{above}.{key}")
    return found


def without_pretrained(model: ConfigDict) -> ConfigDict:
    """A copy of a model configuration in which no part initialises itself from a fetched checkpoint."""
    copy = ConfigDict()
    for key, value in model.items():
        if isinstance(value, dict) and key == "init_cfg" and value.get("type") == "Pretrained":
            copy[key] = None
        else:
            copy[key] = without_pretrained(value) if isinstance(value, dict) else value
    return copy


def _check_option(config: Config, key: str, path: Path) -> None:
    node: Any = config
    for part in key.split("."):
        if isinstance(node, list) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, dict | Config) and part in node:
            node = node[part]
        else:
            raise RecipeError(f"options: {key!r} names no key of {path} (no {part!r} there); check the spelling")


def _set_num_classes(node: Any, count: int) -> None:
    if isinstance(node, dict):
        if "num_classes" in node:
            node["num_classes"] = count
        for value in node.values():
            _set_num_classes(value, count)
    elif isinstance(node, list | tuple):
        for value in node:
            _set_num_classes(value, count)


_TUPLE = "__tuple__"


def _encode(value: Any, target: Path) -> Any:
    # mmcv and mmdet tell tuples from lists, JSON does not.
    if isinstance(value, dict):
        if other := [key for key in value if not isinstance(key, str)]:
            raise RecipeError(
                f"{target}: a recipe holds the key {shown(other[0])}; use names, json knows no other keys"
            )
        return {key: _encode(item, target) for key, item in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [_encode(item, target) for item in value]}
    if isinstance(value, list):
        return [_encode(item, target) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise RecipeError(f"{target}: a recipe holds {shown(value)}; use plain numbers, strings, lists, tuples and dicts")


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {_TUPLE}:
            return tuple(_decode(item) for item in value[_TUPLE])
        return {key: _decode(item) for key, item in value.items()}
    return [_decode(item) for item in value] if isinstance(value, list) else value
