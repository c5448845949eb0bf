"""Types that a recipe and ``options`` may name: those of mmengine's, mmcv's and mmdet's registries, and no others.

mmengine imports a type that it does not know by its dotted name (``subprocess.Popen``) and calls it, and mmcv evaluates
the type of an NMS as Python; ``options`` are data and may start nothing.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import mmdet.registry
import mmengine.registry
from mmdet.utils import register_all_modules
from mmengine.registry import Registry

from deploy.runtime.errors import shortened, shown
from pipeline.errors import RecipeError, did_you_mean

_LONGEST, _LISTED = 200, 20
_SCOPES = ("mmengine", "mmcv", "mmdet")
# Looked up elsewhere than in a registry, by the key that holds them.
_BY_KEY = {"nms": ("nms", "soft_nms"), "roi_layer": ("RoIAlign", "RoIPool")}
# Keys that name what mmengine builds; the second is EMAHook's.
_ASKING = ("type", "ema_type")
# They evaluate a string of their configuration as Python.
_EVALUATING = frozenset({"CameraMotionCompensation", "RFSearchHook"})


def check_types(content: Mapping[str, Any], path: object) -> None:
    """Refuse every ``type`` that no registry has; those of distillation methods are the methods' own.

    Raises:
        RecipeError: lists each with the key that it stands under and the nearest valid one.
    """
    outside = {key: value for key, value in content.items() if key != "distillation"}
    findings = [
        f"  {shortened(place, _LONGEST)} = {shown(name)}: {problem}"
        for place, key, name in _types(outside, "", "")
        if (problem := _problem(key, name))
    ]
    if findings:
        raise RecipeError(f"{path}: types that are not registered:\n" + "\n".join(findings[:_LISTED]))


def _problem(key: str, name: Any) -> str | None:
    if not isinstance(name, str):
        return "give the registered name as text"
    if key in _BY_KEY:
        return None if name in _BY_KEY[key] else f"known: {', '.join(_BY_KEY[key])}"
    if len(name) > _LONGEST:
        return "mmdet, mmcv and mmengine have no such type"
    scope, _, rest = name.rpartition(".")
    names = registered()
    if scope not in ("", *_SCOPES):
        return f"a type is a registered name, and no module's; {_nearest(rest, names)}"
    if rest in _EVALUATING:
        return "it evaluates text as Python, which a recipe may not ask for"
    return None if rest in names else _nearest(rest, names)


def _nearest(name: str, names: frozenset[str]) -> str:
    found = did_you_mean(name, names)
    return found if found.startswith("did") else "mmdet, mmcv and mmengine have no such type"


@cache
def registered() -> frozenset[str]:
    """Every name in a registry of mmengine (where mmcv's are) or mmdet."""
    register_all_modules(init_default_scope=True)
    registries = [
        value
        for module in (mmengine.registry, mmdet.registry)
        for value in vars(module).values()
        if isinstance(value, Registry)
    ]
    return frozenset(name for registry in registries for name in registry.module_dict)


def _types(node: Any, place: str, key: str) -> Iterator[tuple[str, str, Any]]:
    if isinstance(node, Mapping):
        for asking in [name for name in _ASKING if name in node]:
            yield f"{place}.{asking}".removeprefix("."), key, node[asking]
        for name, value in node.items():
            yield from _types(value, f"{place}.{name}", str(name))
    elif isinstance(node, list | tuple):
        for index, value in enumerate(node):
            yield from _types(value, f"{place}.{index}", key)
