"""ImageNet weights for a backbone, from a list of sources and a hash."""

from typing import Any

from torch import Tensor, nn

from pipeline.checkpoints import load_strict, load_weights
from pipeline.errors import CheckpointError
from pipeline.layout import CACHE
from pipeline.sources import fetch


def load_backbone(backbone: nn.Module, source: dict[str, Any]) -> None:
    """Fetch weights and load them strictly into a backbone.

    Args:
        backbone: mmdet backbone.
        source: the recipe's ``backbone_weights``: ``sources`` (tried in order), ``sha256`` and ``layout``
            (``torchvision_mobilenet_v2``).

    Raises:
        CheckpointError: no source delivers the hash, the layout is unknown, or the weights do not fit.
    """
    if source["layout"] != "torchvision_mobilenet_v2":
        raise CheckpointError(f"backbone_weights.layout: unknown {source['layout']!r}; known: torchvision_mobilenet_v2")
    path = fetch(list(source["sources"]), source["sha256"], CACHE)
    state, _ = load_weights(path)
    load_strict(backbone, mobilenet_v2_from_torchvision(state, backbone), str(path))


def mobilenet_v2_from_torchvision(state: dict[str, Tensor], backbone: nn.Module) -> dict[str, Tensor]:
    """Rename torchvision's MobileNetV2 features for mmdet's; both list the same layers in the same order.

    Raises:
        CheckpointError: the two do not have the same number of tensors, or one differs in shape.
    """
    features = {key: value for key, value in state.items() if key.startswith("features.")}
    target = backbone.state_dict()
    if len(features) != len(target):
        raise CheckpointError(f"MobileNetV2: {len(features)} tensors in the weights, {len(target)} in the backbone")
    renamed = {}
    for (source, value), (name, wanted) in zip(features.items(), target.items(), strict=True):
        if value.shape != wanted.shape:
            raise CheckpointError(f"MobileNetV2: {source} is {tuple(value.shape)}, {name} {tuple(wanted.shape)}")
        renamed[name] = value
    return renamed
