"""Images that look alike: frames of one clip, copies in another size, quality or brightness.

A picture's look is where its brightness rises and where it falls from left to right, on a grid of 16 rows and 17
columns: the difference hash of Krawetz ("Kind of Like That", hackerfactor.com, 2013), with a bit of its own for "falls"
and a margin, so that a plain background says nothing. All of it is whole numbers and correctly rounded divisions, the
same on every machine.

Measured on 88 tiles of the embedded photos, share of bits that differ: two tiles at least 0.61; a tile and its copy at
JPEG quality 50, in half or double size, brighter, or with noise at most 0.20; shifted by 2 of 256 pixels at most 0.36
(median 0.21).
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from deploy.runtime.errors import ImageError
from deploy.runtime.images import MOST_FILE_BYTES, decode_image
from deploy.runtime.regular_files import read_regular
from deploy.runtime.resources import usable_cores
from pipeline.datasets.grouping import Groups

_ROWS, _COLUMNS = 16, 17
_MARGIN = 2.0
"""Grey levels that a difference must have to count: more than compression adds to a plain area."""
_ALIKE = 0.25
"""Share of the bits of either look in which those of two alike may differ."""
_BAND = 16
_SEEN = 64
"""Looks of a band that a further one is compared with; bounds the time where many share a pattern."""
_JPEG = b"\xff\xd8"


def looks(paths: Sequence[Path]) -> list[int]:
    """The look of each image, 0 where it has none (a plain picture, or one that cannot be read).

    Images have been validated: a JPEG's size is not checked again.
    """
    with ThreadPoolExecutor(min(8, usable_cores())) as pool:
        return list(tqdm(pool.map(_look_of, paths), "comparing", len(paths), unit="image", disable=None))


def alike(found: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of positions of looks that are alike: fewer than there are looks, and enough to join all that are alike."""
    pairs: list[tuple[int, int]] = []
    groups = Groups(len(found))
    known: defaultdict[tuple[int, int], deque[int]] = defaultdict(lambda: deque(maxlen=_SEEN))
    equal: dict[int, int] = {}
    for position, look in enumerate(found):
        if look in equal:
            pairs.append((equal[look], position))
            continue
        bands = [key for key in _bands(look) if key[1]]
        for other in sorted({other for key in bands for other in known[key]}):
            if groups.group_of(other) != groups.group_of(position) and is_alike(look, found[other]):
                groups.join(other, position)
                pairs.append((other, position))
        if look:
            equal[look] = position
        for key in bands:
            known[key].append(position)
    return pairs


def is_alike(first: int, second: int) -> bool:
    """Whether two looks differ in few of the places where either rises or falls; two of nothing do not."""
    either = first | second
    return either != 0 and (first ^ second).bit_count() <= _ALIKE * either.bit_count()


def look(grey: NDArray[np.uint8]) -> int:
    """The look of a grey picture, ``[height, width]``."""
    means = _block_means(_block_means(grey.astype(np.float64), _ROWS, 0), _COLUMNS, 1)
    change = means[:, 1:] - means[:, :-1]
    bits = np.concatenate([change > _MARGIN, change < -_MARGIN])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _block_means(values: NDArray[np.float64], blocks: int, axis: int) -> NDArray[np.float64]:
    size = values.shape[axis]
    edges = np.arange(blocks + 1) * size // blocks
    counts = np.maximum(np.diff(edges), 1)
    sums = np.add.reduceat(values, np.minimum(edges[:-1], size - 1), axis)
    result: NDArray[np.float64] = sums / (counts[:, None] if axis == 0 else counts[None, :])
    return result


def _look_of(path: Path) -> int:
    try:
        content = read_regular(path, MOST_FILE_BYTES)
        if content.startswith(_JPEG):
            eighth = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
            if eighth is not None and min(eighth.shape) >= _COLUMNS:
                return look(np.asarray(eighth, np.uint8))
        return look(np.asarray(cv2.cvtColor(decode_image(content, str(path)), cv2.COLOR_BGR2GRAY), np.uint8))
    except (OSError, ImageError, cv2.error, MemoryError):
        return 0


def _bands(look: int) -> list[tuple[int, int]]:
    mask = (1 << _BAND) - 1
    return [(place, look >> _BAND * place & mask) for place in range(2 * _ROWS * (_COLUMNS - 1) // _BAND)]
