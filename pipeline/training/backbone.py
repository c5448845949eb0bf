"""ImageNet weights for a backbone, from a list of sources and a hash."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from pipeline.checkpoints import load_strict, load_weights
from pipeline.errors import CheckpointError, RecipeError
from pipeline.layout import CACHE
from pipeline.settings import BackboneWeights
from pipeline.weight_sources import fetch

State = dict[str, Tensor]

_CLASSIFIER = re.compile(r"fc\.(weight|bias)")
# Detectron's convolutions carry a bias that is constant before their normalisation; mmdet has always left them out
# (open-mmlab/mmdetection issue 3340 lists them).
_CONVOLUTION_BIAS = re.compile(r"(conv1|layer\d\.\d+\.(conv\d|downsample\.0))\.bias")


def load_backbone(backbone: nn.Module, source: Mapping[str, Any]) -> None:
    """Fetch weights and load them strictly into a backbone.

    Args:
        backbone: mmdet backbone.
        source: the recipe's ``backbone_weights``, see :class:`pipeline.settings.BackboneWeights`.

    Raises:
        RecipeError: a key of ``source`` is missing, unknown or invalid.
        CheckpointError: no source delivers the hash, or the weights do not fit.
    """
    wanted = weights_of(source)
    path = fetch(wanted.sources, wanted.digest, CACHE)
    state, _ = load_weights(path)
    load_strict(backbone, LAYOUTS[wanted.layout](state, backbone), str(path))


def weights_of(source: Mapping[str, Any]) -> BackboneWeights:
    """A recipe's ``backbone_weights``, typed; raises :class:`RecipeError` for a missing, unknown or invalid key."""
    try:
        return BackboneWeights.model_validate(dict(source))
    except ValidationError as error:
        findings = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise RecipeError(f"backbone_weights of the recipe: {findings}") from error


def mobilenet_v2_from_torchvision(state: State, backbone: nn.Module) -> State:
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


def resnet_from_torchvision(state: State, backbone: nn.Module) -> State:
    """torchvision's ResNet without its classifier; mmdet's has the same names."""
    return {name: value for name, value in state.items() if not _CLASSIFIER.fullmatch(name)}


def resnet_from_detectron(state: State, backbone: nn.Module) -> State:
    """Detectron's ResNet as OpenMMLab publishes it (style ``caffe``), without the convolutions' biases."""
    return {name: value for name, value in resnet_from_torchvision(state, backbone).items() if not _is_bias(name)}


def swin_from_torchvision(state: State, backbone: nn.Module) -> State:
    """Rename torchvision's Swin Transformer for mmdet's, and reorder what follows from mmdet's patch merging.

    torchvision joins the four neighbours as (position, channel), position counted down the columns; mmdet unfolds them
    as (channel, position), position counted along the rows. What the classifier does not have (mmdet's norm of each
    output) and what is computed (the position index) stay the backbone's own.
    """
    own = {name: value for name, value in backbone.state_dict().items() if _SWIN_OWN.search(name)}
    renamed = {}
    for name, value in state.items():
        if name.startswith(("norm.", "head.")) or name.endswith("relative_position_index"):
            continue
        target = _swin_name(name)
        renamed[target] = _unfolded(value) if ".downsample." in target else value
    return own | renamed


def backbone_of_classifier(state: State, backbone: nn.Module) -> State:
    """The backbone of a classifier that OpenMMLab published; mmdet's of the same name has the same names."""
    return {name.removeprefix(_BACKBONE): value for name, value in state.items() if name.startswith(_BACKBONE)}


_BACKBONE = "backbone."
_SWIN_OWN = re.compile(r"^norm\d\.|relative_position_index$")
_SWIN_STEM = {"features.0.0.": "patch_embed.projection.", "features.0.2.": "patch_embed.norm."}
_SWIN_BLOCK = {".attn.": ".attn.w_msa.", ".mlp.0.": ".ffn.layers.0.0.", ".mlp.3.": ".ffn.layers.1."}


def _swin_name(name: str) -> str:
    for source, target in _SWIN_STEM.items():
        if name.startswith(source):
            return name.replace(source, target)
    _, number, rest = name.split(".", 2)
    stage, is_merging = divmod(int(number) - 1, 2)
    if is_merging:
        return f"stages.{stage}.downsample.{rest}"
    for source, target in _SWIN_BLOCK.items():
        rest = rest.replace(source, target)
    return f"stages.{stage}.blocks.{rest}"


def _unfolded(value: Tensor) -> Tensor:
    *outer, width = value.shape
    by_column = value.reshape(*outer, 2, 2, width // 4)  # (column, row, channel)
    return by_column.movedim(-1, -3).transpose(-1, -2).reshape(*outer, width)


def _is_bias(name: str) -> bool:
    return _CONVOLUTION_BIAS.fullmatch(name) is not None


LAYOUTS: dict[str, Callable[[State, nn.Module], State]] = {
    "torchvision_mobilenet_v2": mobilenet_v2_from_torchvision,
    "torchvision_resnet": resnet_from_torchvision,
    "detectron_resnet": resnet_from_detectron,
    "torchvision_swin": swin_from_torchvision,
    "openmmlab_classifier": backbone_of_classifier,
}
