"""A recipe of a wider or narrower detector: what has to change with the number of channels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.errors import RecipeError

_GROUPS = 32
"""Of the group norms in mmdet's dense heads, by which their channels are divided."""
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
        RecipeError: the neck is no FPN, the head no dense one, or the backbone none that is known to come in widths.
    """
    model = config["model"]
    if model.get("neck", {}).get("type") != "FPN" or "feat_channels" not in model.get("bbox_head", {}):
        raise RecipeError(f"{path}: width is for a single-stage detector with an FPN; change the recipe's model")
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
    """Every channel of a ResNet is a multiple of its first."""
    backbone = model["backbone"]
    if backbone["type"] != "ResNet":
        raise RecipeError(
            f"{path}: width: no rule for the channels of a {backbone['type']} from scratch; change the recipe's model"
        )
    was = int(backbone.get("base_channels", 64))
    base = max(8, 8 * round(was * times / 8))
    channels: Sequence[int] = model["neck"]["in_channels"]
    yield "model.backbone.base_channels", base
    yield "model.neck.in_channels", [each * base // was for each in channels]
