"""Numbers on a command line: what they may be, and a readable word where they are not."""

import argparse
from collections.abc import Callable
from typing import TypeVar

Number = TypeVar("Number", int, float)


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
