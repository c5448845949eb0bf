"""Reading, hashing and decoding of every image, in as many threads as the data stage takes: JPEG of 71 KB as COCO's."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from pipeline.datasets.image_files import inspect

_DIFFERENT = 16
_QUALITY = 84


def prepare(images: int) -> Callable[[], object]:
    """Write so many files: a few photos, each copy with a comment of its own."""
    folder = Path(tempfile.mkdtemp())
    photos = [_photo(np.random.default_rng(number)) for number in range(_DIFFERENT)]
    paths = [folder / f"{number}.jpg" for number in range(images)]
    for number, path in enumerate(paths):
        photo, comment = photos[number % _DIFFERENT], f"{number:012d}".encode()
        path.write_bytes(photo[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + photo[2:])
    return lambda: inspect(paths, "checking")


def _photo(random: np.random.Generator) -> bytes:
    """Structure of every size, as a photo has: 640 x 480 pixels."""
    pixels = np.zeros((480, 640, 3))
    for size in (8, 32, 128, 480):
        coarse = random.normal(0, 128 / size**0.55, (size, size * 4 // 3, 3))
        pixels += cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
    contrast = (128 + 1.5 * pixels).clip(0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", contrast, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1].tobytes())
