"""The eight ways in which EXIF's orientation tag lets stored pixels be turned when a file is loaded."""

from dataclasses import dataclass

import numpy as np

UPRIGHT = 1
"""The tag's value for an image that is loaded as it is stored."""


@dataclass(frozen=True)
class _Turn:
    """What makes the upright image of the stored one: rows become columns first, then it is mirrored."""

    transposed: bool = False
    left_right: bool = False
    up_down: bool = False


_TURNS = {
    1: _Turn(),
    2: _Turn(left_right=True),
    3: _Turn(left_right=True, up_down=True),
    4: _Turn(up_down=True),
    5: _Turn(transposed=True),
    6: _Turn(transposed=True, left_right=True),
    7: _Turn(transposed=True, left_right=True, up_down=True),
    8: _Turn(transposed=True, up_down=True),
}
ORIENTATIONS = tuple(_TURNS)


def swaps_sides(orientation: int) -> bool:
    """Whether width and height of the stored image are height and width of the upright one."""
    return _TURNS[orientation].transposed


def turn_image(stored: np.ndarray, orientation: int) -> np.ndarray:
    """The upright image of a stored one, ``[height, width, ...]``, as a view."""
    turn = _TURNS[orientation]
    upright = stored.swapaxes(0, 1) if turn.transposed else stored
    return upright[:: -1 if turn.up_down else 1, :: -1 if turn.left_right else 1]


def turn_box(box: tuple[float, ...], orientation: int, width: int, height: int) -> tuple[float, ...]:
    """The box ``x, y, w, h`` of stored pixels as one of the upright image, which is ``width`` x ``height`` pixels."""
    turn = _TURNS[orientation]
    x, y, w, h = box
    if turn.transposed:
        x, y, w, h = y, x, h, w
    return width - x - w if turn.left_right else x, height - y - h if turn.up_down else y, w, h
