"""Image files as the detector takes them: uint8 ``[H, W, 3]`` in BGR order.

The decoder is OpenCV's ``imdecode`` with ``IMREAD_COLOR``, which is also what mmcv's ``LoadImageFromFile`` uses during
training, so that a file gives the same pixels on both sides.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deploy.runtime.errors import ImageError

Image = NDArray[np.uint8]

SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""File name suffixes that a folder is searched for."""


def read_image(path: Path | str) -> Image:
    """Decode an image file to uint8 ``[H, W, 3]``, BGR.

    Grey images get three equal channels, 16-bit images keep the upper 8 bits, CMYK is converted, EXIF rotation is
    applied (OpenCV knows no rotation of AVIF), an animation gives its first frame. An alpha channel is dropped: the
    stored colours are used as they are, also where the picture is transparent; a TIFF's are multiplied with it.

    Raises:
        ImageError: the file is missing, empty, damaged, no image, or larger than OpenCV accepts (2^30 pixels; the
            environment variable ``OPENCV_IO_MAX_IMAGE_PIXELS`` moves that limit).
    """
    return decode_image(_content(Path(path)), source=str(path))


def decode_image(content: bytes, source: str) -> Image:
    """Decode the bytes of an image file as :func:`read_image` does; ``source`` names it in errors."""
    if not content:
        raise ImageError(f"{source}: the file is empty")
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except (cv2.error, MemoryError) as error:
        raise ImageError(f"{source}: {_reason(error)}") from error
    if image is None:
        raise ImageError(
            f"{source}: not an image that can be decoded (damaged, cut off, or of another kind); save it as PNG or JPEG"
        )
    return np.asarray(image, np.uint8)


def checked_image(image: np.ndarray) -> Image:
    """Return ``image`` if it is uint8 ``[H, W, 3]`` with at least one pixel; raises :class:`ImageError` otherwise."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ImageError(
            f"image array: expected a uint8 array [height, width, 3] in BGR order, got {image.dtype} "
            f"{list(image.shape)}; convert it with cv2.cvtColor, or pass the path of the file"
        )
    return image


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}") from error


def _reason(error: Exception) -> str:
    message = str(error)
    if "MAX_IMAGE" in message:
        return (
            "more pixels than OpenCV decodes; cut the image into tiles, or raise the limit with the environment "
            "variable OPENCV_IO_MAX_IMAGE_PIXELS"
        )
    if isinstance(error, MemoryError) or "Insufficient memory" in message:
        return "too large for this machine's memory; cut the image into tiles"
    return f"cannot be decoded: {message.strip()}"
