"""Images in whatever form a user hands them in, as the detector takes them: uint8 ``[H, W, 3]`` in BGR order.

The decoder is OpenCV's ``imdecode`` with ``IMREAD_COLOR``, which is also what mmcv's ``LoadImageFromFile`` uses during
training, so that a file gives the same pixels on both sides.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from deploy.runtime.errors import ImageError
from deploy.runtime.image_headers import ImageHeader, read_header
from deploy.runtime.regular_files import read_regular
from deploy.runtime.resources import memory_left

if TYPE_CHECKING:
    import PIL.Image

Image = NDArray[np.uint8]

Source: TypeAlias = "Image | str | os.PathLike[str] | bytes | bytearray | memoryview | PIL.Image.Image"
"""One image: decoded, the path of its file, the content of its file, or as PIL holds it."""

Colors = Literal["bgr", "rgb"]
"""The order of an array's colours, which nothing in the array tells."""

_WANTED = "a path, the bytes of an image file, a PIL image or a uint8 array [height, width, 3]"

_LIMIT = "OPENCV_IO_MAX_IMAGE_PIXELS"
_CURE = f"cut the image into tiles, or raise the limit with the environment variable {_LIMIT}"
_TOO_LARGE = "too large for this machine's memory; cut the image into tiles"
_TOO_MANY = f"more pixels than OpenCV decodes; {_CURE}"
MOST_PIXELS = 1 << 29
"""Images of more pixels are not decoded; the environment variable of OpenCV's own limit (2^30) moves this one too."""
MOST_BYTES_A_PIXEL = 8
"""With :data:`MOST_PIXELS`, the memory that one image may take while it is decoded: 4 GiB."""
MOST_PASSES = 16
"""With :data:`MOST_PIXELS`, how many pixels one image may take its decoder over: small ones may have more scans."""
MOST_FILE_BYTES = MOST_PIXELS * MOST_BYTES_A_PIXEL
"""Larger files are not read."""
_LARGE = 1 << 28  # what is worth the millisecond that asking for the memory left takes

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""File name suffixes that a folder is searched for."""


def check_colors(colors: str) -> Colors:
    """Return ``colors`` if it is an order of colours; raises ``ValueError`` otherwise."""
    for known in get_args(Colors):
        if colors == known:
            return known
    raise ValueError(f"colors must be 'bgr' (as OpenCV decodes) or 'rgb', got {colors!r}")


def is_one_image(given: object) -> bool:
    """Whether this is one image, or was meant as one and is none; otherwise it is gone through as several."""
    if isinstance(given, np.ndarray):
        return given.ndim < 4
    goes_round = hasattr(given, "__iter__") or hasattr(given, "__getitem__")
    # Tensors, open files and tables can be gone through as well: one by one, their rows are nothing.
    whole = (str, os.PathLike, bytes, bytearray, memoryview, Mapping)
    return not goes_round or isinstance(given, whole) or any(hasattr(given, name) for name in ("__array__", "read"))


def load_image(source: object, colors: Colors = "bgr", name: str = "image") -> Image:
    """One image as uint8 ``[H, W, 3]``, BGR.

    Args:
        source: any :data:`Source`.
        colors: the order of arrays. Files say themselves what they hold; PIL images are taken as what their mode says,
            and with their pixels as they stand: the EXIF orientation is the user's to apply.
        name: what the image is called in errors, files aside.

    Raises:
        ImageError: it cannot be read, is damaged, or no image at all.
    """
    if isinstance(source, str | os.PathLike):
        return read_image(source)
    if isinstance(source, bytes | bytearray | memoryview):
        content = bytes(source)
        return decode_image(content, f"{name} ({len(content)} bytes)")
    # Whoever has such an image has imported PIL: it is not needed here.
    if isinstance(source, getattr(sys.modules.get("PIL.Image"), "Image", ())):
        return _from_pillow(source, name)
    return checked_image(source, colors, name)


def read_image(path: str | os.PathLike[str]) -> Image:
    """Decode an image file to uint8 ``[H, W, 3]``, BGR.

    Grey images get three equal channels, 16-bit images keep the upper 8 bits, CMYK is converted, EXIF rotation is
    applied (OpenCV knows no rotation of AVIF), an animation gives its first frame. An alpha channel is dropped: the
    stored colours are used as they are, also where the picture is transparent; a TIFF's are multiplied with it.

    Raises:
        ImageError: the file is missing, a pipe or device, empty, damaged, no image, or too large (:func:`check_size`).
    """
    return decode_image(_content(Path(os.fsdecode(path))), source=os.fsdecode(path))


def decode_image(content: bytes, source: str) -> Image:
    """Decode the bytes of an image file as :func:`read_image` does; ``source`` names it in errors."""
    if not content:
        raise ImageError(f"{source}: the file is empty")
    if header := read_header(content):
        check_size(header, source)
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError) as error:
        raise ImageError(f"{source}: {_reason(error)}") from error
    if image is None:
        raise ImageError(
            f"{source}: not an image that can be decoded (damaged, cut off, or of another kind); save it as PNG or JPEG"
        )
    return np.asarray(image, np.uint8)


def check_size(header: ImageHeader, source: str) -> None:
    """Refuse an image that would take too much to decode, by what its header says.

    Raises:
        ImageError: more pixels, or more memory on the way to them, than are taken at all, or than is left here.
    """
    most = int(told) if (told := os.environ.get(_LIMIT, "")).isdecimal() else MOST_PIXELS
    said = f"a {header.kind} of {header.width} x {header.height}"
    if header.pixels > most:
        raise ImageError(f"{source}: {_TOO_MANY} ({said}, at most {most:,})")
    if header.pixels * header.passes > most * MOST_PASSES:
        raise ImageError(
            f"{source}: {said} pixels in {header.passes} scans, which no camera and no program writes; {_CURE}"
        )
    needed = header.decoding_bytes
    if needed > most * MOST_BYTES_A_PIXEL:
        raise ImageError(
            f"{source}: {said} pixels takes {needed / 1e9:.1f} GB to decode, more than are taken for one image; {_CURE}"
        )
    if needed > _LARGE and (left := memory_left()) is not None and needed > left:
        raise ImageError(
            f"{source}: {_TOO_LARGE} ({said} takes {needed / 1e9:.1f} GB to decode, {left / 1e9:.1f} are left)"
        )


def checked_image(image: object, colors: Colors = "bgr", name: str = "image") -> Image:
    """Return ``image`` in BGR if it is a uint8 array ``[H, W, 3]`` with at least one pixel.

    Args:
        colors: the order of its colours; an array in BGR is returned as it is.
        name: what it is called in errors.

    Raises:
        ImageError: it is no such array; the message says what it is and how it becomes one.
    """
    if not isinstance(image, np.ndarray):
        raise ImageError(f"{name}: {_WANTED} is needed, got {_described(image)}; {_conversion(image)}")
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(
            f"{name}: expected a uint8 array [height, width, 3] in {colors.upper()} order, got {image.dtype} "
            f"{list(image.shape)}; {_cure(image, colors.upper())}"
        )
    return image if colors == "bgr" else _bgr(image, cv2.COLOR_RGB2BGR)


def _bgr(pixels: NDArray[np.uint8], conversion: int) -> Image:
    return np.asarray(cv2.cvtColor(pixels, conversion), np.uint8)


def _from_pillow(image: Any, name: str) -> Image:
    """As files are decoded: 16 bits keep the upper 8, transparency is dropped."""
    check_size(ImageHeader("PIL image", *image.size), name)
    if image.mode in ("I", "F") or 0 in image.size:
        raise ImageError(
            f"{name}: a PIL image with pixels of 8 or 16 bits is needed, got mode {image.mode!r}, size {image.size}; "
            "scale its values to 0..255 and convert it to mode 'L' or 'RGB'"
        )
    try:
        if image.mode.startswith("I;16"):
            return _bgr((np.asarray(image) >> 8).astype(np.uint8), cv2.COLOR_GRAY2BGR)
        return _bgr(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)
    # PIL reads a file only now, and damaged ones raise all of these.
    except (OSError, ValueError, SyntaxError, MemoryError, cv2.error) as error:
        raise ImageError(f"{name} (a PIL image of mode {image.mode!r}): {_reason(error)}") from error


def _described(thing: object) -> str:
    kind, shape = type(thing), getattr(thing, "shape", None)
    module = "" if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}."
    return f"{module}{kind.__qualname__}" + (f" {list(shape)}" if isinstance(shape, tuple) else "")


def _conversion(thing: object) -> str:
    """How something that is no array becomes an image."""
    if hasattr(thing, "read"):
        return "pass what its read() gives"
    if isinstance(thing, list | tuple):
        return "several images are one list of them; numbers become an array with np.array(..., np.uint8)"
    if hasattr(thing, "__array__") or hasattr(thing, "__dlpack__"):
        return (
            "convert it to such an array (a tensor: scaled to 0..255, on the CPU, channels last) or to a list of images"
        )
    return "pass one of those"


def _cure(image: np.ndarray, order: str) -> str:
    """How an array becomes an image."""
    if image.size == 0:
        return "it has no pixels"
    if image.dtype.kind in "OSU":
        return "several images or paths are given as a list: image.tolist()"
    if image.dtype.kind == "f":
        return "values from 0 to 1 become pixels by (255 * image).round().astype(np.uint8)"
    if image.dtype == np.uint16:
        return "(image >> 8).astype(np.uint8) keeps the upper 8 bits"
    if image.dtype != np.uint8:
        return "convert it with astype(np.uint8) once its values are 0 to 255, or pass the path of the file"
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        return f"convert it with cv2.cvtColor(image, cv2.COLOR_GRAY2{order})"
    if image.ndim == 3 and image.shape[2] == 4:
        return f"convert it with cv2.cvtColor(image, cv2.COLOR_{order}A2{order})"
    if image.ndim == 3 and image.shape[0] == 3:
        return "move its channels last with image.transpose(1, 2, 0)"
    return "convert it with cv2.cvtColor, or pass the path of the file"


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, MOST_FILE_BYTES)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error


def _reason(error: Exception) -> str:
    message = str(error)
    if "MAX_IMAGE" in message:
        return _TOO_MANY
    if isinstance(error, MemoryError) or "Insufficient memory" in message:
        return _TOO_LARGE
    return f"cannot be decoded: {message.strip()}"
