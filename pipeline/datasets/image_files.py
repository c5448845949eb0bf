"""Checks of image files: each is read whole, hashed and decoded once."""

import hashlib
import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import ExifTags, Image
from tqdm import tqdm

# What the training and the deployed readers (OpenCV) decode as well; MPO is a JPEG with attachments.
FORMATS = frozenset({"JPEG", "MPO", "PNG", "BMP", "TIFF", "WEBP", "PPM"})
_TRANSPOSED = (5, 6, 7, 8)


@dataclass(frozen=True)
class ImageFile:
    """A readable image. ``width`` and ``height`` are those after its EXIF rotation, as OpenCV delivers it."""

    sha256: str
    width: int
    height: int
    orientation: int


def inspect(paths: Sequence[Path], label: str) -> list[ImageFile | str]:
    """Return what each file is, or the reason why it cannot be used; ``label`` names the progress bar."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return list(tqdm(pool.map(inspect_one, paths), desc=label, total=len(paths), unit="image", disable=None))


def inspect_one(path: Path) -> ImageFile | str:
    """Return what the file is, or the reason why it cannot be used."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return f"no such file: {path}"
    except OSError as error:
        return f"cannot be read: {path}: {error.strerror}"
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format not in FORMATS:
                return f"{path} is {image.format}, which the image readers do not take; convert it to PNG or JPEG"
            width, height = image.size
            orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
            # Entropy decoding alone finds a truncated JPEG; scaling down saves the rest of the work.
            image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
            image.load()
    except Exception as error:  # Pillow's decoders raise whatever a damaged file makes them stumble over.
        return f"{path} is no readable image: {error}"
    if orientation in _TRANSPOSED:
        width, height = height, width
    return ImageFile(hashlib.sha256(content).hexdigest(), width, height, orientation)
