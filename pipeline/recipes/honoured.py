"""What of a recipe is honoured. What is not and would change a result is an error that says what to use.

mmdet's configurations set much that this project has its own for. What of it decides nothing here (how often mmdet
would log, save and draw) is passed over in a recipe, which may have inherited it; an entry of ``options`` was written
for this run, so there it is an error too.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from deploy.runtime.errors import shortened, shown
from pipeline.errors import RecipeError, did_you_mean
from pipeline.recipes.load_from import has_hash
from pipeline.recipes.nested_datasets import is_honoured

REQUIRED = (
    "model",
    "input_size",
    "optim_wrapper",
    "param_scheduler",
    "train_cfg",
    "train_dataloader",
    "val_dataloader",
)
OPTIONAL = ("auto_scale_lr", "backbone_weights", "custom_hooks", "distillation", "find_unused_parameters")
KEPT = (*REQUIRED, *OPTIONAL)
"""Keys of a recipe that decide a training or its evaluation; the resolved recipe holds no others."""

_LONGEST = 200
_OF_A_METHOD = re.compile(r"distillation\.methods\.\d+\.\w+")
"""May be a default that the recipe does not repeat; the method itself knows its arguments."""
_PRECISION = "train.precision in params.yaml says what is computed in 16 bits"
_WORKERS = "train.workers in params.yaml is the number"
_DATA = "the data set is the section `data` of params.yaml"
_HOOKS = "list hooks of your own under custom_hooks"
_LOOP = "give max_iters or max_epochs, and val_interval and dynamic_intervals"
_EVALUATOR = "every split is measured by COCO's AP of boxes"
_WHOLE_NETWORK = (
    "a detector's weights to start from are given as `init` of a student, a twin or the teacher in params.yaml, with "
    "sources and a hash; in a recipe, load_from takes a file, or an https address whose file's name ends in the first "
    "digits of its SHA-256 (...-25944287.pth); a teacher's own are listed under teacher.checkpoints in params.yaml, "
    "those of a backbone under backbone_weights in the recipe"
)
_INIT = "give it as `init` of the student, the twin or the teacher in params.yaml, with sources and a hash"
_SCHEDULE_HOOKS = {"param_scheduler": "ParamSchedulerHook", "sampler_seed": "DistSamplerSeedHook"}
_OUTPUT_HOOKS = {"timer", "logger", "checkpoint", "visualization"}


def _empty(value: Any, config: Mapping[str, Any]) -> bool:
    return not value


def _no_seed(value: Any, config: Mapping[str, Any]) -> bool:
    return not value or value.get("seed") is None


def _usual_hooks(value: Any, config: Mapping[str, Any]) -> bool:
    return all(name in _OUTPUT_HOOKS or _plain(hook, _SCHEDULE_HOOKS.get(name)) for name, hook in value.items())


def _coco_boxes(value: Any, config: Mapping[str, Any]) -> bool:
    return not value or (value.get("type") == "CocoMetric" and value.get("metric", "bbox") in ("bbox", ["bbox"]))


def _type_alone(value: Any, config: Mapping[str, Any]) -> bool:
    return not value or _plain(value, value.get("type"))


def _loops_by_length(value: Any, config: Mapping[str, Any]) -> bool:
    known = {"type", "_scope_", "max_iters", "max_epochs", "val_interval", "dynamic_intervals"}
    return not {*value} - known and ("max_iters" in value) != ("max_epochs" in value)


def _same_images_as_val(value: Any, config: Mapping[str, Any]) -> bool:
    pipeline = _at(config, "val_dataloader", "dataset", "pipeline")
    return not value or pipeline is None or _at(value, "dataset", "pipeline") == pipeline


def _full_precision(value: Any, config: Mapping[str, Any]) -> bool:
    return value.get("type", "OptimWrapper") == "OptimWrapper" and not {"dtype", "loss_scale"} & {*value}


def _one_coco_data_set(value: Any, config: Mapping[str, Any]) -> bool:
    return is_honoured(value["dataset"])


def _coco_data_set_alone(value: Any, config: Mapping[str, Any]) -> bool:
    return _one_coco_data_set(value, config) and "dataset" not in value["dataset"]


_ONE_DATA_SET = (
    "dataset must be one CocoDataset, alone or within RepeatDataset(times, dataset) and MultiImageMixDataset(pipeline, "
    f"dataset, skip_type_keys, max_refetch), which take nothing else; {_DATA}, where several files become one"
)
_RUNNERS: dict[str, tuple[Callable[[Any, Mapping[str, Any]], bool], str]] = {
    "activation_checkpointing": (_empty, "leave it out"),
    "compile": (_empty, "leave it out"),
    "custom_imports": (_empty, "later stages load modules of mmdet, mmcv and mmengine alone"),
    "data_preprocessor": (_empty, "set model.data_preprocessor"),
    "default_hooks": (_usual_hooks, _HOOKS),
    "efficient_conv_bn_eval": (_empty, "leave it out"),
    "init": (_empty, _INIT),
    "launcher": (lambda value, _: value in (None, "none"), "set train.launcher in params.yaml"),
    "load_from": (lambda value, _: not value or has_hash(value), _WHOLE_NETWORK),
    "model_wrapper_cfg": (_empty, "set train.launcher in params.yaml, and find_unused_parameters in the recipe"),
    "optim_wrapper": (_full_precision, f"leave out type, dtype and loss_scale: {_PRECISION}"),
    "randomness": (_no_seed, "set train.seed in params.yaml"),
    "resume": (_empty, "a killed training goes on by itself"),
    "strategy": (_empty, "set train.launcher in params.yaml"),
    "test_cfg": (_type_alone, _PRECISION),
    "test_dataloader": (_same_images_as_val, "set val_dataloader, which is read for every split"),
    "test_evaluator": (_coco_boxes, _EVALUATOR),
    "train_cfg": (_loops_by_length, _LOOP),
    "train_dataloader": (_one_coco_data_set, _ONE_DATA_SET),
    "val_cfg": (_type_alone, _PRECISION),
    "val_dataloader": (_coco_data_set_alone, f"dataset must be one CocoDataset, with no other around it; {_DATA}"),
    "val_evaluator": (_coco_boxes, _EVALUATOR),
}
"""Keys of mmengine's Runner that are not taken as they come: what is accepted of each, and the cure of the rest."""

_OPTIONS: list[tuple[str, str]] = [
    (r"(train|val)_dataloader\.(num_workers|persistent_workers)", _WORKERS),
    (r"(train|val)_dataloader(\.dataset)+\.(ann_file|data_root|data_prefix|metainfo)\b.*", _DATA),
    (r"train_cfg\.type", _LOOP),
    (r"model\.(.+\.)?num_classes", "the number of classes is the data set's"),
    (
        r"model\.test_cfg\.(rcnn\.)?(score_thr|nms\.iou_threshold|nms_pre|max_per_img)",
        "what ships and is measured takes export.score_threshold, nms_iou_threshold, max_candidates and max_detections",
    ),
]
"""Options that are read by nobody, or by the training and not by what follows, and what to use."""


def check_honoured(config: Mapping[str, Any], path: object) -> None:
    """Refuse what of a recipe would be dropped although it changes a result.

    Raises:
        RecipeError: lists every such key with what to use, and keys that look like a misspelt one.
    """
    findings = [f"  {key} = {shown(config[key])}: {cure}" for key, cure in not_honoured(config).items()]
    findings += [
        f"  {key}: did you mean {near[0]!r}?"
        for key in config
        if len(key) <= _LONGEST
        and key not in (*KEPT, *_RUNNERS)
        and (near := get_close_matches(key, KEPT, n=1, cutoff=0.85))
    ]
    if findings:
        raise RecipeError(f"{path} sets what is not honoured here:\n" + "\n".join(findings))


def not_honoured(config: Mapping[str, Any]) -> dict[str, str]:
    """Keys of mmengine's Runner whose value would be dropped although it changes a result, with what to use."""
    return {
        key: cure
        for key, (accepts, cure) in _RUNNERS.items()
        if key in config and not _accepted(accepts, config[key], config)
    }


def check_option(config: Mapping[str, Any], key: str, path: object) -> None:
    """Refuse an option that names no key of the recipe, or one that nobody would read.

    Raises:
        RecipeError: says which, and what to use.
    """
    node: Any = config
    for part in key.split("."):
        if isinstance(node, list | tuple) and part.isdigit() and int(part) < len(node):
            node = node[int(part)]
        elif isinstance(node, Mapping) and part in node:
            node = node[part]
        elif isinstance(node, Mapping) and _OF_A_METHOD.fullmatch(key):
            break
        else:
            known = f"; {did_you_mean(part[:_LONGEST], node)}" if isinstance(node, Mapping) and len(node) else ""
            raise RecipeError(f"options: {shown(key)} names no key of {path} (no {shown(part)} there){known}")
    cure = next((cure for pattern, cure in _OPTIONS if re.fullmatch(pattern, key)), None)
    if (first := key.split(".")[0]) not in KEPT:
        cure = _RUNNERS[first][1] if first in _RUNNERS else f"options may begin with {', '.join(KEPT)}"
    if cure:
        raise RecipeError(f"options: {shown(key)} of {path} changes nothing here: {cure}")


def pretrained_parts(model: Mapping[str, Any], above: str = "model") -> dict[str, str]:
    """Parts of a model that ask for a fetched checkpoint, with its address, by dotted name."""
    return {name: str(checkpoint) for name, checkpoint in _initialisations(model, above)}


def check_initialised(config: Mapping[str, Any], path: object) -> None:
    """Refuse a part that mmdet would start from a checkpoint, and that would start from random weights here.

    Raises:
        RecipeError: names each part and its checkpoint.
    """
    parts = pretrained_parts(config["model"])
    if config.get("backbone_weights"):
        parts.pop("model.backbone", None)
    if parts:
        findings = [
            f"  {part}.init_cfg = {shortened(address, _LONGEST)}: {_cure_of(part)}" for part, address in parts.items()
        ]
        raise RecipeError(f"{path} asks for weights that are not fetched without a hash:\n" + "\n".join(findings))


def _cure_of(part: str) -> str:
    random = f"set {part}.init_cfg = None to start from random weights"
    if part == "model.backbone":
        return f"list the file under `backbone_weights` (as configs/_base_/weights_*.py do), or {random}"
    return f"only a backbone can start from a checkpoint; {random}"


def _initialisations(model: Any, above: str) -> Iterator[tuple[str, Any]]:
    items = model.items() if isinstance(model, Mapping) else enumerate(model) if isinstance(model, list | tuple) else ()
    for key, value in items:
        if key == "init_cfg":
            if checkpoints := [*checkpoints_of(value)]:
                yield above, checkpoints[0]
        else:
            yield from _initialisations(value, f"{above}.{key}")


def checkpoints_of(init: Any) -> Iterator[Any]:
    """The checkpoints that an ``init_cfg`` of mmengine's asks for, also in a list of several or as an ``override``."""
    if isinstance(init, Mapping):
        if str(init.get("type")).rpartition(".")[2] == "Pretrained":
            yield init.get("checkpoint")
        for value in init.values():
            yield from checkpoints_of(value)
    elif isinstance(init, list | tuple):
        for value in init:
            yield from checkpoints_of(value)


def _accepted(accepts: Callable[[Any, Mapping[str, Any]], bool], value: Any, config: Mapping[str, Any]) -> bool:
    try:
        return accepts(value, config)
    except (AttributeError, KeyError, TypeError):  # another kind of value than mmengine's
        return False


def _plain(value: Any, kind: str | None) -> bool:
    return value is None or (kind is not None and {**value, "_scope_": "mmdet"} == {"type": kind, "_scope_": "mmdet"})


def _at(node: Any, *keys: str) -> Any:
    for key in keys:
        node = node.get(key) if isinstance(node, Mapping) else None
    return node
