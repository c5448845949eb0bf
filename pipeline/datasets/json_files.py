"""The reader of json that users write: annotation files.

Python's own keeps the last of two equal keys and says nothing, so a second list "annotations" makes the boxes of the
first one vanish.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.runtime.regular_files import read_regular

_SHOWN = 5
_DEEPEST = 20
# A string, or a sign that says where in the document we are; numbers and words between them do not matter.
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],]', re.DOTALL)


class RepeatedKeyError(ValueError):
    """An object of a json file has a key twice; the message names path and lines of the first few."""


def read_json(path: Path) -> Any:
    """Parse a json file in UTF-8, UTF-16 or UTF-32, with or without byte order mark.

    Raises:
        OSError: it cannot be read, or is no regular file.
        ValueError: it is no json, or :class:`RepeatedKeyError`.
        RecursionError: it is nested too deeply.
    """
    content = read_regular(path)
    try:
        return json.loads(content, object_pairs_hook=without_repetition)
    except RepeatedKeyError:
        raise RepeatedKeyError(_told(content.decode(json.detect_encoding(content), "surrogatepass"))) from None


def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values, as ``object_pairs_hook``; raises a bare :class:`RepeatedKeyError`."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise RepeatedKeyError
    return found


def _told(text: str) -> str:
    repeated = list(_repeated(text))
    shown = "; ".join(
        f"{path} in line {_line(text, first)} and again in line {_line(text, again)}"
        for path, first, again in repeated[:_SHOWN]
    )
    more = f"; and {len(repeated) - _SHOWN} more" if len(repeated) > _SHOWN else ""
    return (
        f"{len(repeated)} key(s) are given twice in one object: {shown}{more}; only the last would count, so join the "
        "two or take one out"
    )


@dataclass
class _Level:
    """An object or a list that is open: the key or the index that we are at, and where each key was seen."""

    is_object: bool
    at: str | int
    seen: dict[str, int] = field(default_factory=dict)
    before_key: bool = True

    def step(self) -> None:
        if isinstance(self.at, int):
            self.at += 1
        self.before_key = True

    def take(self, key: str) -> int | None:
        """Go on to ``key``; where it was seen before, or nothing."""
        self.at, self.before_key = key, False
        return self.seen.get(key)


def _path(levels: Sequence[_Level]) -> str:
    """The way to where we are; of a deep one the first steps."""
    steps = "".join(f".{level.at}" if level.is_object else f"[{level.at}]" for level in levels[:_DEEPEST])
    return steps.removeprefix(".") + ("..." if len(levels) > _DEEPEST else "")


def _repeated(text: str) -> Iterator[tuple[str, int, int]]:
    """Path of each key that is given again, with the offsets of the two.

    ``text`` is json as far as the first of them, which is where its parser stopped: what comes behind may be anything.
    """
    levels: list[_Level] = []
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign in ("{", "["):
            levels.append(_Level(sign == "{", "" if sign == "{" else 0))
        elif not levels:
            return
        elif sign in ("}", "]"):
            levels.pop()
        elif sign == ",":
            levels[-1].step()
        elif levels[-1].is_object and levels[-1].before_key:
            try:
                key = json.loads(sign)
            except ValueError:
                return
            first = levels[-1].take(key)
            if first is not None:
                yield _path(levels), first, match.start()
            levels[-1].seen.setdefault(key, match.start())


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1
