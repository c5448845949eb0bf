"""Text and json from a file: whatever is wrong with it is one error, whose message says why and names no file."""

import json
from pathlib import Path
from typing import Any, TypeGuard

from deploy.runtime.regular_files import read_regular

LARGEST = 2.0**53
"""Above every coordinate and id. Beyond this, an id loses digits in the float arrays of COCO evaluators."""

_NUMBERS = (int, float)  # in half the time of int | float, which is made anew each time


class UnreadableText(Exception):
    """A file is missing, cannot be read, or is no such text; the message says why, for the end of a sentence."""


class MissingText(UnreadableText):
    """There is no such file."""


def read_text(path: Path) -> str:
    """Read a file in UTF-8.

    Raises:
        MissingText: there is no such file.
        UnreadableText: it cannot be read or is no text.
    """
    try:
        return read_regular(path).decode()
    except FileNotFoundError as error:
        raise MissingText("no such file") from error
    except UnicodeDecodeError as error:
        raise UnreadableText(f"no text in UTF-8: byte 0x{error.object[error.start]:02x} at {error.start}") from error
    # A path that no system call takes is a ValueError.
    except (OSError, ValueError) as error:
        raise UnreadableText(f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def read_json(path: Path) -> Any:
    """Read a json file in UTF-8; raises :class:`UnreadableText` as :func:`read_text` does, and where it is no json."""
    return parse_json(read_text(path))


def parse_json(text: str) -> Any:
    """Read json; raises :class:`UnreadableText` where it is none, or none that Python reads."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UnreadableText("not valid json: nested too deeply") from error
    except ValueError as error:
        raise UnreadableText(f"not valid json: {error}") from error


def is_whole(value: object) -> TypeGuard[int]:
    """Whether this is a number as ids, widths and heights are."""
    return type(value) is int and abs(value) < LARGEST


def is_finite(value: object) -> TypeGuard[int | float]:
    """Whether this is a number that evaluators compute with: neither NaN nor infinite, nor of hundreds of digits."""
    return isinstance(value, _NUMBERS) and not isinstance(value, bool) and -LARGEST < value < LARGEST
