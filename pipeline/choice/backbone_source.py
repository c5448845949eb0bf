"""The weights that a configuration of mmdet's names for its backbone, as ``backbone_weights`` of a recipe."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine.runner.checkpoint import get_external_models, get_torchvision_models

from pipeline.recipes import read_recipe
from pipeline.transfers import name_in

BASES = Path("configs/_base_")
_HASHED = re.compile(r"-([0-9a-f]{8})\.pth")
_TABLES: dict[str, Callable[[], dict[str, str]]] = {
    "torchvision": get_torchvision_models,
    "open-mmlab": get_external_models,
    "openmmlab": get_external_models,
}
_RESNETS = ("ResNet", "ResNetV1d", "ResNeXt")


def backbone_source(backbone: Mapping[str, Any], checkpoint: str) -> Path | dict[str, Any] | None:
    """Where the weights of a backbone come from, and the hash that tells them.

    Args:
        backbone: its configuration, whose type says how the file is read.
        checkpoint: as its ``init_cfg`` has it: ``torchvision://...``, ``open-mmlab://...`` or an address.

    Returns:
        the file of ``configs/_base_`` that lists it, else what such a file would say; none where the address is not
        known, its file's name has no hash, or it is not known how a backbone of this type reads it.
    """
    address = _address(checkpoint)
    for path in sorted(BASES.glob("weights_*.py")):
        if address in read_recipe(path).backbone_weights.sources:
            return path
    found = _HASHED.search(name_in(address))
    if found is None or backbone.get("type", "").rpartition(".")[2] not in _RESNETS:
        return None
    # OpenMMLab's conversions may carry biases that no ResNet of mmdet has.
    layout = "torchvision_resnet" if "download.pytorch.org" in address else "detectron_resnet"
    return {"layout": layout, "sha256_prefix": found[1], "sources": [address]}


def _address(checkpoint: str) -> str:
    scheme, _, name = checkpoint.partition("://")
    table = _TABLES.get(scheme)
    return str(table().get(name, checkpoint)) if table else checkpoint
