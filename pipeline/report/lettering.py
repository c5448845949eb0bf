"""The letters of what is drawn by hand: one font on every machine."""

from functools import cache
from pathlib import Path

import matplotlib
from PIL import ImageFont


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans Bold, which matplotlib carries, with letters of ``size`` pixels."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"), size)


def text_width(text: str, size: int) -> float:
    """Pixels that the text is wide in letters of ``size`` pixels."""
    return font(size).getlength(text)


def letters(name: str) -> str:
    """The name on one line, without control characters: they have no picture, and the font engine refuses them."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())
