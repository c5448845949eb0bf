"""Recipes that ``make use`` writes: Python that reads as if by hand, and nothing of the user's is overwritten."""

import hashlib
import json
import keyword
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deploy.runtime.errors import shown
from deploy.runtime.printable import in_one_line
from deploy.runtime.text_files import MissingText, UnreadableText, read_text
from pipeline.errors import RecipeError
from pipeline.storage import write_atomic

_TITLE = "# Written by `make use`. Edit it as you like: an edited file is not overwritten."
_HASH = "# sha256 of what follows: "
_WIDTH = 110
_INDENT = "    "


def recipe_text(origin: str, bases: Sequence[str], content: Mapping[str, Any]) -> str:
    """A recipe's file.

    Args:
        origin: what it was written from, for the reader.
        bases: that it inherits.
        content: its keys and plain values.

    Raises:
        RecipeError: a value cannot be written as text.
    """
    entries = {"_base_": list(bases), **content} if bases else content
    keys = "".join(f"{key} = {_literal(value, key, 0, len(key) + 3)}\n" for key, value in entries.items())
    rest = f"# From {in_one_line(origin)}\n{keys}"
    return f"{_TITLE}\n{_HASH}{_digest(rest)}\n{rest}"


@contextmanager
def recipes_written(files: Mapping[Path, str]) -> Iterator[None]:
    """Write recipes, and take that back where the block ends with an error.

    Raises:
        RecipeError: a file is there, and was not written by :func:`recipe_text` or has been edited since.
    """
    earlier = {path: _earlier(path, text) for path, text in files.items()}
    try:
        for path, text in files.items():
            if text != earlier[path]:
                write_atomic(path, text)
        yield
    except BaseException:
        for path, before in earlier.items():
            if before is not None:
                write_atomic(path, before)
            else:
                path.unlink(missing_ok=True)
        raise


def _earlier(path: Path, text: str) -> str | None:
    """The text that a file has; none where there is no file."""
    try:
        earlier = read_text(path)
    except MissingText:
        return None
    except UnreadableText as error:
        raise RecipeError(f"{path}: {error}") from error
    lines = earlier.split("\n", 2)
    if earlier != text and (len(lines) < 3 or lines[1] != _HASH + _digest(lines[2])):
        raise RecipeError(
            f"{path} is yours: it has been edited since `make use` wrote it, and is not overwritten. Go on with it "
            f"(MODEL={path}, or TEACHER= for a teacher), or rename or remove it to have it written anew"
        )
    return earlier


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _literal(value: Any, place: str, depth: int, used: int) -> str:
    """A value as Python, on one line where it has room behind ``used`` characters."""
    match value:
        case Mapping():
            named = bool(value) and all(_is_name(key) for key in value)
            opening, closing = ("dict(", ")") if named else ("{", "}")
            keys = [f"{key}=" if named else f"{_literal(key, place, 0, 0)}: " for key in value]
            parts = list(zip(keys, value.values(), strict=True))
        case list() | tuple():
            opening, closing = "[]" if isinstance(value, list) else "()"
            parts = [("", each) for each in value]
        case _:
            return _plain(value, place)
    inner = [prefix + _literal(each, f"{place}.{prefix}", depth + 1, len(prefix)) for prefix, each in parts]
    comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
    line = opening + ", ".join(inner) + comma + closing
    if "\n" not in line and len(_INDENT) * depth + used + len(line) <= _WIDTH:
        return line
    indent = _INDENT * (depth + 1)
    return f"{opening}\n" + "".join(f"{indent}{each},\n" for each in inner) + _INDENT * depth + closing


def _plain(value: Any, place: str) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    raise RecipeError(f"{place} is {shown(value)}, a {type(value).__name__}: a recipe holds plain values alone")


def _is_name(key: Any) -> bool:
    return isinstance(key, str) and key.isidentifier() and not keyword.iskeyword(key)
