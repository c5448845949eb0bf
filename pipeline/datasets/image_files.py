"""Checks of image files: each is read whole, hashed and decoded once.

One reader decides what can be read, how large it is and how it is turned: that of training, evaluation and deployment
(:mod:`deploy.runtime.images`). Pillow looks at headers alone: it decodes other files than OpenCV does, stops at other
sizes and takes an orientation from XMP.
"""

import contextlib
import hashlib
import io
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile
from tqdm import tqdm

from deploy.runtime.errors import ImageError
from deploy.runtime.images import MOST_FILE_BYTES, decode_image
from deploy.runtime.printable import in_one_line
from deploy.runtime.regular_files import read_regular
from deploy.runtime.resources import usable_cores
from pipeline.datasets.orientation import ORIENTATIONS, UPRIGHT, turn_image

# MPO is a JPEG with attachments. Of an animation the first picture alone would be seen, of AVIF's rotation nothing.
FORMATS = frozenset({"JPEG", "MPO", "PNG", "BMP", "TIFF", "WEBP", "PPM"})
# Larger images (100 MB decoded) are decoded one at a time: a thread each would take many times the memory of training.
_LARGE = 2**25
_one_large = threading.Lock()
# Pillow decodes nothing here, and our own limit is applied before memory is taken.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class ImageFile:
    """A readable image.

    ``width`` and ``height`` are those of the pixels that the reader delivers, ``orientation`` is EXIF's number (1 to 8)
    for how it turned the stored ones; 1 where it left them as they are, whatever the file says.
    """

    sha256: str
    width: int
    height: int
    orientation: int


def inspect(paths: Sequence[Path], label: str) -> list[ImageFile | str]:
    """Return what each file is, or the reason why it cannot be used; ``label`` names the progress bar."""
    with ThreadPoolExecutor(min(8, usable_cores())) as pool:
        return list(
            tqdm(pool.map(inspect_one, paths), desc=in_one_line(label), total=len(paths), unit="image", disable=None)
        )


def inspect_one(path: Path) -> ImageFile | str:
    """Return what the file is, or the reason why it cannot be used."""
    try:
        content = read_regular(path, MOST_FILE_BYTES)
    except FileNotFoundError:
        return f"no such file: {path}"
    except OSError as error:
        return f"cannot be read: {path}: {error.strerror}"
    header = _header(content)
    if header.kind not in (None, *FORMATS):
        return f"{path} is {header.kind}, which is not taken for training; convert it to PNG or JPEG"
    try:
        with contextlib.nullcontext() if header.pixels <= _LARGE else _one_large:
            image = decode_image(content, f"{path} is no readable image")
            orientation = _orientation(content, image, header)
    except ImageError as error:
        return str(error)
    except (cv2.error, MemoryError):
        return f"{path} is too large for this machine's memory; cut the image into tiles"
    height, width = image.shape[:2]
    return ImageFile(hashlib.sha256(content).hexdigest(), width, height, orientation)


@dataclass(frozen=True)
class _Header:
    """What a file says of itself, as far as Pillow knows its kind: ``tag`` is EXIF's orientation, None is not known."""

    kind: str | None = None
    pixels: float = math.inf
    tag: int | None = None


def _header(content: bytes) -> _Header:
    try:
        with Image.open(io.BytesIO(content)) as image:
            # EXIF of a PNG may stand behind the pixels, which Pillow would decode to get there.
            hidden = image.format == "PNG" and b"eXIf" in content and "exif" not in image.info
            return _Header(image.format, image.width * image.height, None if hidden else _tag(image))
    except Exception:  # Pillow's readers raise whatever a damaged file makes them stumble over.
        return _Header()


def _tag(image: Image.Image) -> int:
    # Not Image.getexif: it takes an orientation from XMP where EXIF has none.
    if isinstance(image, TiffImageFile):
        tag = image.tag_v2.get(ExifTags.Base.Orientation)
    else:
        exif = Image.Exif()
        exif.load(image.info.get("exif", b""))
        tag = exif.get(ExifTags.Base.Orientation)
    return tag if tag in ORIENTATIONS else UPRIGHT


def _orientation(content: bytes, upright: np.ndarray, header: _Header) -> int:
    """How the reader turned an image: the tag's way, or the first other one, that makes its pixels of the stored ones.

    The tag alone does not say: it may be of a type that OpenCV does not read. Of a TIFF, OpenCV follows each tag, and
    gives no stored pixels.
    """
    if header.tag == UPRIGHT or header.kind == "TIFF":
        return header.tag or UPRIGHT
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    stored = np.asarray(cv2.imdecode(np.frombuffer(content, np.uint8), flags))
    step = max(1, max(upright.shape) // 1024)
    for way in (header.tag or UPRIGHT, *ORIENTATIONS):
        turned = turn_image(stored, way)
        if turned.shape == upright.shape and np.array_equal(turned[::step, ::step], upright[::step, ::step]):
            return way
    return UPRIGHT
