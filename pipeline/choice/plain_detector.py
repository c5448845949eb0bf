"""An mmdet configuration of the user's own as a recipe: what of it is taken, what is this project's own, and why."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from pipeline.choice.backbone_source import BASES, backbone_source
from pipeline.errors import RecipeError
from pipeline.recipes import check_initialised, pretrained_parts, read_recipe
from pipeline.recipes.consistency import scales
from pipeline.recipes.honoured import KEPT, check_honoured, not_honoured
from pipeline.recipes.nested_datasets import READING, innermost, type_of, with_innermost
from pipeline.recipes.shape import check_shape

DATA, SCHEDULE = BASES / "data_own.py", BASES / "schedule_own.py"
_TAKEN = (*KEPT, "load_from")
# What of mmengine's Runner is replaced where it is otherwise than here; the rest of it is an error.
_REPLACED = ("launcher", "randomness", "test_cfg", "test_dataloader", "test_evaluator", "val_cfg", "val_evaluator")
_FILES = ("ann_file", "data_root", "data_prefix", "metainfo", "backend_args")
_LOADING = ("num_workers", "persistent_workers")
_OF_ANY_DATASET = ("pipeline", "filter_cfg", "test_mode")
_OF_AMP = ("type", "dtype", "loss_scale", "use_fp16")
_LOADERS = ("train_dataloader", "val_dataloader")

Section = dict[str, Any]


@dataclass(frozen=True)
class Adopted:
    """What a recipe for a plain detector is written from.

    Attributes:
        bases: files of ``configs/_base_`` that fill what the configuration does not have.
        content: the recipe's own keys.
        replaced: what of the configuration is otherwise here, and why, a line each.
        passed_over: keys that decide no weight.
    """

    bases: list[Path]
    content: Section
    replaced: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def is_plain(config: Mapping[str, Any]) -> bool:
    """Whether a configuration is mmdet's own kind: no method, and no size of what ships, as every recipe has."""
    return "distillation" not in config and "input_size" not in config


def adopted(config: Config, path: Path) -> Adopted:
    """Take over a plain configuration.

    The model, the two data pipelines with their batches, the optimizer and the schedule are kept. Files and classes are
    the data set's, which this project reads itself, and precision, seed and processes are settings of ``params.yaml``.

    Args:
        config: whole, with all that it inherits.
        path: names it in errors.

    Raises:
        RecipeError: it has no model, or sets what is not honoured here and has no counterpart.
    """
    given = _without_scope(config.to_dict())
    if not isinstance(given.get("model"), Mapping):
        raise RecipeError(f"{path}: no `model`; give a size, a recipe, or a configuration of mmdet's with a detector")
    replaced = ["num_classes: the data set's"]
    bases = _fill(given, replaced)
    for loader in _LOADERS:
        _take_files(given, loader, replaced)
    _take_precision(given, replaced)
    _take_suppression(given["model"].get("test_cfg"), "model.test_cfg", replaced)
    for key, cure in not_honoured(given).items():
        if key in _REPLACED:
            replaced.append(f"{key}: {cure}")
            del given[key]
    check_honoured(given, path)
    ours = {key: value for base in bases for key, value in read_recipe(base).to_dict().items()}
    check_shape({"input_size": (1, 1), **ours, **given}, path)
    if DATA not in bases:
        given["input_size"] = _canvas(given, path)
    _take_backbone(given, bases, replaced, path)
    content = {key: given[key] for key in _TAKEN if given.get(key) is not None}
    unread = sorted(key for key, value in given.items() if value and key not in (*_TAKEN, *_REPLACED))
    return Adopted(bases, content, [*dict.fromkeys(replaced)], unread)


def _without_scope(node: Any) -> Any:
    """Without the notes that mmengine leaves in what is inherited by ``mmdet::``; it is the scope of every recipe."""
    if isinstance(node, dict):
        return {key: _without_scope(value) for key, value in node.items() if (key, value) != ("_scope_", "mmdet")}
    return type(node)(map(_without_scope, node)) if isinstance(node, list | tuple) else node


def _fill(given: Section, replaced: list[str]) -> list[Path]:
    """The files that fill what is missing; half of a section is none."""
    bases = []
    for base, keys in ((DATA, _LOADERS), (SCHEDULE, ("optim_wrapper", "train_cfg"))):
        if missing := [key for key in keys if key not in given]:
            bases.append(base)
            replaced += [f"{key}: {base}, as there is no {' and no '.join(missing)}" for key in keys if key in given]
            for key in (*keys, "param_scheduler") if base == SCHEDULE else (*keys, "test_dataloader"):
                given.pop(key, None)
    if SCHEDULE not in bases:
        given.setdefault("param_scheduler", [])
    return bases


def _take_files(given: Section, loader: str, replaced: list[str]) -> None:
    """Leave of a loader what is not the data set's."""
    section: Any = given.get(loader)
    original = section.get("dataset") if isinstance(section, dict) else None
    if not isinstance(original, dict):
        return
    dataset = _unjoined(original)
    reading = innermost(dataset)
    others = [] if dataset == original else ["ConcatDataset"]
    if type_of(reading) != READING and "datasets" not in reading:
        others.append(type_of(reading))
        reading = {"type": READING, **{key: reading[key] for key in _OF_ANY_DATASET if key in reading}}
    if others:
        replaced.append(f"{loader}.dataset ({', '.join(others)}): the prepared data set, with its pipeline")
    if gone := [key for key in _FILES if innermost(dataset).get(key)]:
        replaced.append(f"dataset.{{{', '.join(gone)}}}: the data set's (DATA=)")
    if [key for key in _LOADING if section.pop(key, None) is not None]:
        replaced.append("num_workers: train.workers in params.yaml")
    kept = {key: value for key, value in reading.items() if key not in _FILES}
    section["dataset"] = with_innermost(dataset, lambda _: kept)


def _unjoined(dataset: Section) -> Section:
    """A data set without what only joins several files to one."""
    match dataset:
        case {"datasets": [dict(first), *others]} if type_of(dataset) == "ConcatDataset":
            if all(isinstance(other, dict) and other.get("pipeline") == first.get("pipeline") for other in others):
                return _unjoined(first)
        case {"dataset": dict(inner)}:
            return {**dataset, "dataset": _unjoined(inner)}
    return dataset


def _take_precision(given: Section, replaced: list[str]) -> None:
    wrapper = given.get("optim_wrapper")
    if isinstance(wrapper, dict) and type_of(wrapper) == "AmpOptimWrapper":
        replaced.append("optim_wrapper.type (AmpOptimWrapper): train.precision in params.yaml")
        given["optim_wrapper"] = {key: value for key, value in wrapper.items() if key not in _OF_AMP}


def _take_suppression(test: Any, place: str, replaced: list[str]) -> None:
    if not isinstance(test, dict):
        return
    _take_suppression(test.get("rcnn"), f"{place}.rcnn", replaced)
    nms = test.get("nms")
    if isinstance(nms, dict) and type_of(nms) == "soft_nms":
        replaced.append(f"{place}.nms (soft_nms): plain NMS, the one that ships, at its iou_threshold")
        test["nms"] = {"type": "nms", "iou_threshold": nms.get("iou_threshold", 0.5)}


def _canvas(given: Section, path: Path) -> tuple[int, int]:
    """Height and width of what ships: the scale of the test pipeline, wider than high, as much as the network pads."""
    found = scales("val_dataloader", given, path)
    if found is None or len(found) != 1:
        raise RecipeError(
            f"{path}: val_dataloader.dataset.pipeline sizes pictures by something else than one Resize with a scale, "
            "so that it is not known for which size the detector ships; give it one"
        )
    divisor = given["model"]["data_preprocessor"].get("pad_size_divisor", 1)
    longer, shorter = (math.ceil(side / divisor) * divisor for side in found[0][1])
    return shorter, longer


def _take_backbone(given: Section, bases: list[Path], replaced: list[str], path: Path) -> None:
    """List the backbone's weights with a hash; without one, the error of every recipe says what to do."""
    address, source = pretrained_parts(given["model"]).get("model.backbone"), None
    if address and not given.get("backbone_weights"):
        source = backbone_source(given["model"]["backbone"], address)
    if isinstance(source, Path):
        bases.append(source)
    elif source is not None:
        given["backbone_weights"] = source
    if source is not None:
        listed = source if isinstance(source, Path) else source["sources"][0]
        replaced.append(f"model.backbone.init_cfg ({address}): {listed}, checked by its hash")
    check_initialised({**given, "backbone_weights": source or given.get("backbone_weights")}, path)
