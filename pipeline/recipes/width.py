"""A recipe of a wider or narrower detector: what has to change with the number of channels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import RecipeError

_GROUPS = 32
"""Of the group norms in mmdet's dense heads, by which their channels are divided."""
_NECKS = ("FPN", "CSPNeXtPAFPN", "YOLOXPAFPN")
_BACKBONES: dict[str, tuple[str, float, float]] = {
    "ResNet": ("base_channels", 64, 8),
    "CSPNeXt": ("widen_factor", 1.0, 0.125),
    "CSPDarknet": ("widen_factor", 1.0, 0.125),
}
"""The argument that all channels of a backbone are in proportion to, its default, and what it is a multiple of."""
_ADAPTERS = {"CrossKD": ("adapter",), "PKD": ("adapter",), "CSKD": ("neck_adapt", "branch_adapt")}
"""Settings of the methods without which they ask for equal widths."""


def at_width(config: Mapping[str, Any], times: float, path: object) -> dict[str, Any]:
    """The options that make a single-stage detector ``times`` as wide.

    Neck and head follow, in whole groups of their norms, and a backbone that starts from scratch. One that starts from
    ImageNet weights keeps its channels, which are those of the weights. Methods of the recipe get the 1x1 convolutions
    that take a student of one width to a teacher of another.

    Args:
        config: a recipe's configuration, whole.
        times: of the recipe's own width, above 0.
        path: names the recipe in errors.

    Returns:
        Overrides as ``options`` of ``params.yaml`` take them.

    Raises:
        RecipeError: the neck is none of ``_NECKS``, the head no dense one, or the backbone none of ``_BACKBONES``.
    """
    model = config["model"]
    if model.get("neck", {}).get("type") not in _NECKS or "feat_channels" not in model.get("bbox_head", {}):
        raise RecipeError(
            f"{path}: width is for a single-stage detector with a neck of the type {' or '.join(_NECKS)}; change the "
            "recipe's model"
        )
    if times == 1:
        return {}
    neck, head = (_grouped(int(model[part][key]) * times) for part, key in _CHANNELS)
    options: dict[str, Any] = {
        "model.neck.out_channels": neck,
        "model.bbox_head.in_channels": neck,
        "model.bbox_head.feat_channels": head,
    }
    if not config.get("backbone_weights"):
        options |= _backbone(model, times, path)
    methods = (config.get("distillation") or {}).get("methods", [])
    return options | {
        f"distillation.methods.{index}.{switch}": True
        for index, method in enumerate(methods)
        for switch in _ADAPTERS.get(method["type"], ())
    }


_CHANNELS = (("neck", "out_channels"), ("bbox_head", "feat_channels"))


def _grouped(channels: float) -> int:
    return max(_GROUPS, _GROUPS * round(channels / _GROUPS))


def _backbone(model: Mapping[str, Any], times: float, path: object) -> Iterator[tuple[str, Any]]:
    backbone = model["backbone"]
    if backbone["type"] not in _BACKBONES:
        raise RecipeError(
            f"{path}: width: no rule for the channels of a {backbone['type']} from scratch; change the recipe's model"
        )
    key, default, step = _BACKBONES[backbone["type"]]
    was = backbone.get(key, default)
    becomes = max(step, step * round(was * times / step))
    channels: Sequence[int] = model["neck"]["in_channels"]
    yield f"model.backbone.{key}", becomes
    yield "model.neck.in_channels", [round(each * becomes / was) for each in channels]
