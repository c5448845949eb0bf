"""A label file of YOLO: a line an object, its class and its box, or its polygon, in shares of the image's sides.

The format as Ultralytics documents it: ``class cx cy w h``; ``class x1 y1 x2 y2 x3 y3 ...`` for segments and turned
boxes; ``class cx cy w h`` and key points for poses.
"""

import re
from collections.abc import Container
from dataclasses import dataclass

from deploy.runtime.errors import shown
from deploy.runtime.text_files import is_finite
from pipeline.datasets.findings import Findings

LARGEST_FILE = 1 << 24
"""Bytes; a row takes 40."""
_NUMBERS = re.compile(r"[-+0-9.eE \t]*")
_FURTHEST = 2.0
"""A share beyond this is none: a box of pixels. Smaller ones are validation's, in pixels."""


@dataclass(frozen=True)
class LabelRow:
    """``x, y, w, h`` of the box in shares of width and height, the corner first; ``line`` counts from 1."""

    line: int
    category: int
    box: tuple[float, float, float, float]
    is_polygon: bool


def read_labels(content: bytes, file: str, names: Container[int], keypoints: int, notes: Findings) -> list[LabelRow]:
    """The rows of a label file that are well formed, and an error for each that is not.

    Args:
        content: the file.
        file: how findings name it.
        names: the numbers that are classes.
        keypoints: how many numbers follow the box in a row of a pose.
        notes: gets the errors.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        notes.error(file, "no text in UTF-8: {}", error.reason)
        return []
    rows = []
    for line, words in enumerate(text.splitlines(), 1):
        if not words.strip():
            continue
        row = _row(words, line, keypoints)
        if isinstance(row, str):
            notes.error(f"{file} line {line}", f"{row}, got {{}}", shown(words))
        elif row.category not in names:
            notes.error(f"{file} line {line}", "class {} is none of the data set's", row.category)
        else:
            rows.append(row)
    return rows


def _row(words: str, line: int, keypoints: int) -> LabelRow | str:
    """A row, or what it should be."""
    if not _NUMBERS.fullmatch(words):
        return "needs numbers with spaces between them: class cx cy w h"
    try:
        number, *values = map(float, words.split())
    except ValueError:
        return "needs numbers with spaces between them: class cx cy w h"
    if not number.is_integer() or number < 0:
        return "needs the number of a class first (0, 1, ...)"
    is_polygon = len(values) >= 6 and len(values) % 2 == 0 and not keypoints
    if not is_polygon and len(values) != 4 + keypoints:
        kinds = "class cx cy w h" if not keypoints else f"class cx cy w h and {keypoints} numbers of key points"
        return f"needs {kinds}, or a polygon of three points or more" if not keypoints else f"needs {kinds}"
    bounds = values if is_polygon else values[:4]
    if not all(is_finite(value) and -_FURTHEST < value < _FURTHEST for value in bounds):
        return "needs shares of the image's width and height (0 to 1), not pixels"
    return LabelRow(line, int(number), _around(values) if is_polygon else _corner(values), is_polygon)


def _corner(values: list[float]) -> tuple[float, float, float, float]:
    cx, cy, w, h = values[:4]
    return cx - w / 2, cy - h / 2, w, h


def _around(values: list[float]) -> tuple[float, float, float, float]:
    xs, ys = values[::2], values[1::2]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
