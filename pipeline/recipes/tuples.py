"""JSON that tells tuples from lists, as mmcv and mmdet do."""

from pathlib import Path
from typing import Any

from pipeline.errors import RecipeError

_TUPLE = "__tuple__"


def encode(value: Any, target: Path) -> Any:
    """Plain values for JSON; raises :class:`RecipeError` naming ``target`` for anything else."""
    if isinstance(value, dict):
        return {key: encode(item, target) for key, item in value.items()}
    if isinstance(value, tuple):
        return {_TUPLE: [encode(item, target) for item in value]}
    if isinstance(value, list):
        return [encode(item, target) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise RecipeError(f"{target}: a recipe holds {value!r}; use plain numbers, strings, lists, tuples and dicts")


def decode(value: Any) -> Any:
    """What :func:`encode` was given."""
    if isinstance(value, dict):
        if set(value) == {_TUPLE}:
            return tuple(decode(item) for item in value[_TUPLE])
        return {key: decode(item) for key, item in value.items()}
    return [decode(item) for item in value] if isinstance(value, list) else value
