"""Command lines: their parser, and what numbers may be, with a readable word where they are not."""

import argparse
from collections.abc import Callable
from typing import NoReturn, TypeVar

from deploy.runtime.printable import visible

Number = TypeVar("Number", int, float)


class Parser(argparse.ArgumentParser):
    """A parser that makes visible what it says of its arguments: a shell's ``*`` passes on any file name."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """See the base class."""
        super().exit(status, visible(message) if message else None)


def fraction(text: str) -> float:
    """A number from 0 to 1."""
    if not 0 <= (value := _number(float, text)) <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def natural(text: str) -> int:
    """A whole number from 0 up."""
    if (value := _number(int, text)) < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return value


def positive(text: str) -> int:
    """A whole number from 1 up."""
    if (value := _number(int, text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value


def _number(kind: Callable[[str], Number], text: str) -> Number:
    try:
        return kind(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no {'whole ' if kind is int else ''}number") from None
