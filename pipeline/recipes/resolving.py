"""From a recipe as it is written to a resolved one."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet.datasets import CocoDataset
from mmengine.config import Config

from deploy.runtime.errors import shown
from pipeline import mmengine_packages
from pipeline.errors import RecipeError
from pipeline.layout import TEACHER, origin_file
from pipeline.recipe_records import RecipeOrigin
from pipeline.recipes.consistency import check_whole
from pipeline.recipes.honoured import KEPT, REQUIRED, check_honoured, check_initialised, check_option
from pipeline.recipes.load_from import init_of
from pipeline.recipes.plain_settings import UNCHANGED, PlainSettings, apply_plain
from pipeline.recipes.recipe import Recipe, load_resolved, method_name, pseudo_label_ratio
from pipeline.recipes.registered import check_types
from pipeline.recipes.shape import check_shape, reason
from pipeline.recipes.tuples import encode
from pipeline.records import DatasetRecord
from pipeline.setting_types import StartingWeights
from pipeline.settings import Params
from pipeline.storage import fresh_directory, write_atomic

mmengine_packages.provide()
logger = logging.getLogger(__name__)

COCO_CLASSES: tuple[str, ...] = tuple(CocoDataset.METAINFO["classes"])
"""The classes that published weights know and published numbers are of."""


@dataclass(frozen=True)
class ResolvedRecipe:
    """What of a recipe decides a training (``content``), and where it comes from (``origin``); both for JSON."""

    content: dict[str, Any]
    origin: RecipeOrigin


def resolve(
    path: Path, dataset: DatasetRecord, options: Mapping[str, Any], plain: PlainSettings = UNCHANGED
) -> ResolvedRecipe:
    """Read a recipe with everything it inherits and fill in the data set's classes.

    Args:
        path: the recipe, relative to the project's root.
        dataset: its classes set ``num_classes`` of every head.
        options: overrides of single keys, dotted as mmengine's ``cfg-options``, of what the plain settings made.
        plain: length, batch, size and width, each with all that must follow, and the weights to start from; without
            these, the recipe's ``load_from`` says what it starts from.

    Raises:
        RecipeError: the file is missing or no valid configuration, a required key is absent, an option names a key that
            the recipe does not have, or something is set that is not honoured here.
    """
    config = read_recipe(path)
    if missing := [key for key in REQUIRED if key not in config]:
        raise RecipeError(f"{path}: the keys {missing} are missing; inherit a base of configs/_base_ that sets them")
    as_written = config.to_dict()
    check_shape(as_written, path)
    check_honoured({**as_written, "load_from": None} if plain.init else as_written, path)
    init = _init(as_written, plain, path)
    apply_plain(config, plain, dataset, path)
    for key, value in options.items():
        check_option(as_written, key, path)
        try:
            config.merge_from_dict({key: value})
        except Exception as error:  # mmengine's own, of an option that does not fit what it overrides
            raise RecipeError(f"options: {shown(key)} of {path}: {reason(error)}") from error
    content = config.to_dict()
    check_shape(content, path)
    kept = {key: content[key] for key in KEPT if key in content}
    # Again, of what the options made of it.
    check_honoured(kept, path)
    check_types(kept, path)
    set_num_classes(kept["model"], len(dataset.classes))
    origin = RecipeOrigin(
        path=path.as_posix(),
        published=content.get("published", {}),
        **_backbone_origin(kept.get("backbone_weights") or {}),
        init_sources=init.sources if init else [],
        init_licence=init.licence if init else None,
    )
    decisive: dict[str, Any] = {"classes": list(dataset.classes), "config": kept}
    if init:
        decisive["init"] = init.model_dump(exclude={"sources", "licence"}, exclude_none=True)
    return ResolvedRecipe(decisive, origin)


def _backbone_origin(weights: dict[str, Any]) -> dict[str, Any]:
    """What of a recipe's backbone weights decides nothing: it is taken out of them."""
    return {"backbone_sources": weights.pop("sources", []), "backbone_licence": weights.pop("licence", None)}


def _init(config: Mapping[str, Any], plain: PlainSettings, path: Path) -> StartingWeights | None:
    """The detector's weights that a training starts from: ``params.yaml`` has the last word."""
    if plain.init is None:
        return init_of(config, path)
    if source := config.get("load_from"):
        logger.info("%s: load_from = %s is not read: `init` of params.yaml is", path, shown(source))
    return plain.init


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
        text = json.dumps(encode(resolved.content, target), indent=1, sort_keys=True)
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"{target}: a recipe holds what json does not: {reason(error)}") from error
    write_atomic(target, text + "\n")
    resolved.origin.write(origin_file(target))


def resolve_all(
    params: Params, dataset: DatasetRecord, out: Path, accept: Callable[[Mapping[str, Recipe]], None]
) -> None:
    """Resolve the teacher's configuration and every student's recipe into ``out/<model>.json``, each with its origin.

    Args:
        accept: is shown all of them as they will be read, and raises :class:`RecipeError` for what cannot be trained.

    Raises:
        RecipeError: as :func:`resolve`, a recipe stands in the wrong section, or does not hang together; nothing is
            written then.
    """
    entries = {TEACHER: (params.teacher.config, params.teacher.options, plain_settings(params, TEACHER))}
    for name, student in params.trained.items():
        entries[name] = (student.recipe, student.options, plain_settings(params, name))
    resolved = {name: resolve(path, dataset, options, plain) for name, (path, options, plain) in entries.items()}
    for name, (path, *_) in entries.items():
        config = resolved[name].content["config"]
        check_whole(config, path, dataset.splits["train"].images)
        ratio = pseudo_label_ratio(config)
        if ratio is not None and dataset.unlabelled is None and not params.label.labelled:
            raise RecipeError(
                f"{path}: {name} is to learn from {ratio:g} pictures without boxes for each labelled one, and there "
                "are none; name a folder of them as data.unlabelled in params.yaml, or set data.labelled_share below 1"
            )
        if name != TEACHER:  # which may be fetched whole; where it is trained, the training checks
            check_initialised(config, path)
            _check_section(name, resolved[name], "students" if name in params.students else "twins")
    with fresh_directory(out) as scratch:
        for name, content in resolved.items():
            write_resolved(scratch / f"{name}.json", content)
        accept({name: load_resolved(scratch / f"{name}.json") for name in resolved})


def plain_settings(params: Params, name: str) -> PlainSettings:
    """What ``params.yaml`` says of a model beside its recipe and ``options``; ``train`` is of students and twins."""
    if name == TEACHER:
        return PlainSettings(params.teacher.train, params.input_size, init=params.teacher.init)
    student = params.trained[name]
    return PlainSettings(params.train, params.input_size, student.width, student.init, student.unlabelled)


def _check_section(name: str, resolved: ResolvedRecipe, section: str) -> None:
    """Hold a recipe against where it is listed: what of ``twins`` is trained never waits for a teacher."""
    method = method_name(resolved.content["config"])
    if (method == "none") == (section == "twins"):
        return
    found, right = ("no method", "twins") if method == "none" else (f"the method {method}", "students")
    path = resolved.origin.path
    raise RecipeError(
        f"params.yaml: {section}.{name}: {path} has {found} under `distillation`; it belongs to `{right}`"
    )


def set_num_classes(node: Any, count: int) -> None:
    """Give every part of a model that has classes so many of them, in place."""
    if isinstance(node, dict):
        if "num_classes" in node:
            node["num_classes"] = count
        for value in node.values():
            set_num_classes(value, count)
    elif isinstance(node, list | tuple):
        for value in node:
            set_num_classes(value, count)
