"""What the weights of a detector are before its first iteration."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mmdet.models.detectors.base import BaseDetector
from mmengine.dist import is_main_process
from mmengine.runner import set_random_seed
from torch import Tensor, nn

from pipeline.checkpoints import classes_in, load_weights
from pipeline.detectors.class_layers import class_layers
from pipeline.errors import CheckpointError
from pipeline.layout import CACHE
from pipeline.pickled_weights import CLASSES, listed
from pipeline.recipes import COCO_CLASSES, Recipe, build_detector
from pipeline.setting_types import WeightsFile
from pipeline.storage import sha256_of
from pipeline.training.backbone import load_backbone
from pipeline.training.collectives import first_process_first
from pipeline.training.transfer import Transfer, classes_of, transfer
from pipeline.training_records import InitRecord
from pipeline.weight_sources import fetch

logger = logging.getLogger(__name__)

_WRAPPED = "module."
"""Before every name where a model in DataParallel was saved."""


def initialised(recipe: Recipe, seed: int) -> tuple[BaseDetector, InitRecord | None]:
    """A recipe's detector as its training begins: mmdet's own initialisation, by the seed, then weights over it.

    These are the recipe's ``backbone_weights``, and over them what of its ``init`` fits; those of a backbone that
    ``init`` covers are not fetched.

    Returns:
        the detector, and what of ``init`` it took over where there is one.

    Raises:
        CheckpointError: no source delivers the hash, or the weights fit in less than half of the detector's tensors.
        RecipeError: it is not known which layers of the detector have rows for each class.
    """
    set_random_seed(seed)
    detector = build_detector(recipe)
    detector.init_weights()
    record, plan = None, None
    if recipe.init is not None:
        with first_process_first():
            record, plan = _planned(detector, recipe, recipe.init)
    backbone = recipe.config.get("backbone_weights")
    if backbone and (plan is None or _any_in("backbone.", plan.new)):
        with first_process_first():
            load_backbone(detector.backbone, backbone)
    if plan is not None:
        detector.load_state_dict({**detector.state_dict(), **plan.tensors})
    return detector, record


def _planned(detector: BaseDetector, recipe: Recipe, init: WeightsFile) -> tuple[InitRecord, Transfer]:
    path = fetch(init.sources, init.digest, CACHE)
    state, metadata = load_weights(path)
    layers = class_layers(detector)
    given = by_names_of(detector, state)
    names = classes_in(metadata) or _unlisted(metadata, classes_of(given, layers))
    own = detector.state_dict()
    plan = transfer(own, given, layers, names, recipe.classes)
    _check_half(plan, len(own), path, recipe, detector)
    record = InitRecord(
        sha256=sha256_of(path),
        tensors=len(own),
        transferred=len(plan.tensors) - len(plan.refitted),
        refitted=plan.refitted,
        new=plan.new,
        left=plan.left,
        classes=plan.carried,
        new_classes=[name for name in recipe.classes if name not in plan.carried],
    )
    if is_main_process():
        logger.info("%s: init from %s: %s", recipe.name, path, described(record, bool(names)))
    return record, plan


def _unlisted(metadata: Mapping[str, str], count: int | None) -> Sequence[str]:
    """The names of ``count`` classes where the metadata has no list of them; none where they are not known.

    The project's first weights have them with spaces between; 80 that are not named are taken for COCO's.
    """
    named = metadata.get(CLASSES, "").split()
    return next((names for names in (named, COCO_CLASSES) if len(names) == count), [])


def by_names_of(model: nn.Module, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict by the names of a model's own, which is left as it is.

    ``module.`` before every name is taken off. What mmdet's modules rename while they load the keys of their older
    versions (FCOS's ``fcos_cls``) has its new name; a name that the model does not know stays.
    """
    if all(name.startswith(_WRAPPED) for name in state):
        state = {name.removeprefix(_WRAPPED): tensor for name, tensor in state.items()}
    found: dict[str, Tensor] = {}
    handles = [module.register_load_state_dict_pre_hook(partial(_taken, found=found)) for module in model.modules()]
    try:
        model.load_state_dict(state, strict=False)
    finally:
        for handle in handles:
            handle.remove()
    taken = {id(tensor) for tensor in found.values()}
    return found | {name: tensor for name, tensor in state.items() if id(tensor) not in taken}


def _taken(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: Any, found: dict[str, Tensor]) -> None:
    """Take a module's own tensors out of what it is about to load, by then under its own names."""
    own = [*module._parameters, *module._buffers]
    found.update({prefix + name: state.pop(prefix + name) for name in own if prefix + name in state})


def _any_in(prefix: str, names: Iterable[str]) -> bool:
    return any(name.startswith(prefix) for name in names)


def _check_half(plan: Transfer, tensors: int, path: Path, recipe: Recipe, detector: BaseDetector) -> None:
    if 2 * len(plan.tensors) < tensors:
        raise CheckpointError(
            f"init: {path} fits in {len(plan.tensors)} of the {tensors} tensors of {recipe.path} "
            f"({type(detector).__name__}), less than half: it is of another detector\n"
            f"  without weights: {listed(plan.new)}\n"
            f"  left of the file: {listed(plan.left) or 'nothing'}\n"
            "Use weights of this detector (its widths and depths), or leave `init` out of params.yaml."
        )


def described(record: InitRecord, names_known: bool) -> str:
    """What of a file went over, in one line; ``names_known`` is whether it says what its classes are called."""
    fitted = record.transferred + len(record.refitted)
    parts = [f"transferred {fitted} of {record.tensors} tensors"]
    layers = ", ".join(dict.fromkeys(name.rpartition(".")[0] for name in record.refitted))
    count, total = len(record.classes), len(record.classes) + len(record.new_classes)
    if layers:
        carried = f"{layers}: {count} of {total} classes by name"
        parts.append(carried + (f", new: {listed(record.new_classes)}" if record.new_classes else ""))
    elif names_known:
        parts.append(f"all {total} classes are new: the file has no rows of these names and this shape")
    else:
        parts.append(f"all {total} classes are new: the file does not say what its classes are called")
    if record.new:
        parts.append(f"new: {listed(record.new)}")
    if record.left:
        parts.append(f"left of the file: {listed(record.left)}")
    return "; ".join(parts)
