"""Checks of image files: each is read whole, hashed and decoded once, a JPEG to a grey eighth of its size.

One reader decides what can be read, how large it is and how it is turned: that of training, evaluation and deployment
(:mod:`deploy.runtime.images`). Pillow looks at headers alone: it decodes other files than OpenCV does, stops at other
sizes and takes an orientation from XMP.

At an eighth the decoder goes through all of a JPEG's data and fails where it fails at full size and in colour; what it
leaves out is the arithmetic that makes pixels of it, half of the time.
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
from deploy.runtime.image_headers import ImageHeader, read_header
from deploy.runtime.images import MOST_FILE_BYTES, check_size, decode_image
from deploy.runtime.printable import in_one_line
from deploy.runtime.regular_files import read_regular
from deploy.runtime.resources import usable_cores
from pipeline.datasets.near_duplicates import look_of
from pipeline.datasets.orientation import ORIENTATIONS, UPRIGHT, turn_image

# MPO is a JPEG with attachments. Of an animation the first picture alone would be seen, of AVIF's rotation nothing.
FORMATS = frozenset({"JPEG", "MPO", "PNG", "BMP", "TIFF", "WEBP", "PPM"})
# Larger images (100 MB decoded) are decoded one at a time: a thread each would take many times the memory of training.
_LARGE = 2**25
_one_large = threading.Lock()
# Images a thread takes at once: each hand-over has its price, and a split of millions of images no room for millions.
_MOST_AT_ONCE = 64
# Pillow decodes nothing here, and our own limit is applied before memory is taken.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A readable image.

    ``width`` and ``height`` are those of the pixels that the reader delivers, ``orientation`` is EXIF's number (1 to 8)
    for how it turned the stored ones; 1 where it left them as they are, whatever the file says. ``look``, where it was
    asked for, is what :mod:`pipeline.datasets.near_duplicates` compares.
    """

    sha256: str
    width: int
    height: int
    orientation: int
    look: int | None = None


def inspect(paths: Sequence[Path], label: str, with_looks: bool = False) -> list[ImageFile | str]:
    """Return what each file is, or the reason why it cannot be used; ``label`` names the progress bar."""
    threads = min(8, usable_cores())
    at_once = max(1, min(_MOST_AT_ONCE, len(paths) // (4 * threads)))
    shares = [paths[start : start + at_once] for start in range(0, len(paths), at_once)]
    found: list[ImageFile | str] = []
    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(desc=in_one_line(label), total=len(paths), unit="image", disable=None) as progress,
    ):
        for some in pool.map(lambda share: [inspect_one(path, with_looks) for path in share], shares):
            found += some
            progress.update(len(some))
    return found


def inspect_one(path: Path, with_look: bool = False) -> ImageFile | str:
    """Return what the file is, or the reason why it cannot be used."""
    try:
        content = read_regular(path, MOST_FILE_BYTES)
    except FileNotFoundError:
        return f"no such file: {path}"
    except OSError as error:
        return f"cannot be read: {path}: {error.strerror}"
    said = read_header(content)
    header = _header(content, said)
    if header.kind not in (None, *FORMATS):
        return f"{path} is {header.kind}, which is not taken for training; convert it to PNG or JPEG"
    source = f"{path} is no readable image"
    try:
        if said and (eighth := _eighth_of_jpeg(content, header, said, source)) is not None:
            seen = look_of(content, source, eighth=eighth) if with_look else None
            return ImageFile(hashlib.sha256(content).hexdigest(), said.width, said.height, UPRIGHT, seen)
        with contextlib.nullcontext() if header.pixels <= _LARGE else _one_large:
            image = decode_image(content, source)
            orientation = _orientation(content, image, header)
            seen = look_of(content, source, whole=image) if with_look else None
    except ImageError as error:
        return str(error)
    except (cv2.error, MemoryError):
        return f"{path} is too large for this machine's memory; cut the image into tiles"
    height, width = image.shape[:2]
    return ImageFile(hashlib.sha256(content).hexdigest(), width, height, orientation, seen)


def reason_text(reason: str, path: Path) -> str:
    """A reason why a file cannot be used as it is said of other files too, with a place for the path."""
    return "{}".join(part.replace("{", "{{").replace("}", "}}") for part in reason.split(str(path), 1))


@dataclass(frozen=True)
class _Header:
    """What a file says of itself, as far as Pillow knows its kind: ``tag`` is EXIF's orientation, None is not known."""

    kind: str | None = None
    size: tuple[int, int] | None = None
    tag: int | None = None

    @property
    def pixels(self) -> float:
        return math.prod(self.size) if self.size else math.inf


def _header(content: bytes, said: ImageHeader | None) -> _Header:
    if said and said.kind == "JPEG" and b"Exif" not in content:
        return _Header(said.kind, (said.width, said.height), UPRIGHT)  # as Pillow would say, in a tenth of the time
    try:
        with Image.open(io.BytesIO(content)) as image:
            # EXIF of a PNG may stand behind the pixels, which Pillow would decode to get there.
            hidden = image.format == "PNG" and b"eXIf" in content and "exif" not in image.info
            return _Header(image.format, image.size, None if hidden else _tag(image))
    except Exception:  # Pillow's readers raise whatever a damaged file makes them stumble over.
        return _Header()


def _eighth_of_jpeg(content: bytes, header: _Header, said: ImageHeader, source: str) -> np.ndarray | None:
    """A JPEG that is sound, upright and as large as it says, grey at an eighth; None where only its pixels tell.

    Raises:
        ImageError: it is too large, or has too many scans.
    """
    if header.kind not in ("JPEG", "MPO") or header.tag != UPRIGHT or header.pixels > _LARGE:
        return None
    check_size(said, source)
    try:
        small = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_REDUCED_GRAYSCALE_8)
    except cv2.error:
        return None
    width, height = said.width, said.height
    eighth = (-(-height // 8), -(-width // 8))
    # Turned by a tag that Pillow does not see, it would have other sides: where an eighth does not tell, pixels do.
    told = eighth[0] != eighth[1] or width == height
    if small is None or small.shape[:2] != eighth or (width, height) != header.size or not told:
        return None
    return np.asarray(small)


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
