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

import cv2
import numpy as np
from numpy.typing import NDArray

from deploy.runtime.errors import ImageError
from deploy.runtime.images import decode_image
from pipeline.datasets.grouping import Groups

_ROWS, _COLUMNS = 16, 17
_MARGIN = 2.0
"""Grey levels that a difference must have to count: more than compression adds to a plain area."""
_ALIKE = 0.25
"""Share of the bits of either look in which those of two alike may differ."""
_BAND = 16
_SEEN = 64
"""Looks of a band that a further one is compared with; bounds the time where many share a pattern."""
_AT_ONCE = 256
"""Looks that are held against all known ones in one step; bounds the memory of it."""
_JPEG = b"\xff\xd8"

Pixels = NDArray[np.uint8]


def look_of(content: bytes, source: str, eighth: Pixels | None = None, whole: Pixels | None = None) -> int:
    """The look of an image, 0 where it has none (a plain picture, or one that cannot be decoded).

    Args:
        content: its file, which has been validated: a JPEG's size is not checked again.
        source: names it.
        eighth: a JPEG at an eighth of its size, grey ``[height, width]``, where it is decoded already.
        whole: the image, BGR ``[height, width, 3]``, where it is.
    """
    try:
        if content.startswith(_JPEG):
            if eighth is None:
                flags = cv2.IMREAD_REDUCED_GRAYSCALE_8
                eighth = cv2.imdecode(np.frombuffer(content, np.uint8), flags)  # type: ignore[assignment]
            if eighth is not None and min(eighth.shape) >= _COLUMNS:
                return look(eighth)
        image = decode_image(content, source) if whole is None else whole
        return look(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8))
    except (ImageError, cv2.error, MemoryError):
        return 0


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


class KnownLooks:
    """Looks that others are held against, each against all of them: a pair that is missed would be a leak."""

    def __init__(self, known: Sequence[int]) -> None:
        self._bits = _bits(known)
        self._counts = self._bits.sum(1)

    def first_alike(self, found: Sequence[int]) -> list[int | None]:
        """For each look the position of the first known one that :func:`is_alike`, None where there is none."""
        places: list[int | None] = []
        for start in range(0, len(found), _AT_ONCE):
            bits = _bits(found[start : start + _AT_ONCE])
            shared = bits @ self._bits.T
            either = bits.sum(1)[:, None] + self._counts[None] - shared
            matches = (either > 0) & (either - shared <= _ALIKE * either)
            places += [int(row.argmax()) if row.any() else None for row in matches]
        return places


def look(grey: Pixels) -> int:
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


def _bits(looks: Sequence[int]) -> NDArray[np.float32]:
    """[looks, bits], 0 or 1; sums of their products are exact."""
    size = 2 * _ROWS * (_COLUMNS - 1) // 8
    content = b"".join(each.to_bytes(size, "big") for each in looks)
    return np.unpackbits(np.frombuffer(content, np.uint8).reshape(-1, size), axis=1).astype(np.float32)


def _bands(look: int) -> list[tuple[int, int]]:
    mask = (1 << _BAND) - 1
    return [(place, look >> _BAND * place & mask) for place in range(2 * _ROWS * (_COLUMNS - 1) // _BAND)]
