"""Image files of every format, through the reader of detectors and training, and through the data stage."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.fuzz.byte_damage import damage_bytes
from benchmarks.fuzz.cases import Kind, Refused, Sample
from deploy.runtime.errors import ImageError
from deploy.runtime.images import read_image
from pipeline.datasets.image_files import ImageFile, inspect_one

_random = np.random.default_rng(0)
_COARSE = _random.integers(0, 255, (6, 8, 3), dtype=np.uint8)
_COLOUR = cv2.resize(_COARSE, (40, 28), interpolation=cv2.INTER_CUBIC)
_GREY = _COLOUR[:, :, 0]
_ALPHA = np.dstack([_COLOUR, _GREY])
_DEEP = _COLOUR.astype(np.uint16) * 257


def _encoded(suffix: str, pixels: np.ndarray, *flags: int) -> bytes:
    return cv2.imencode(suffix, pixels, list(flags))[1].tobytes()


def _saved(mode: str, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(_COLOUR).convert(mode).save(stream, kind, **options)
    return stream.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "maker"
    return exif.tobytes()


_FILES = {
    "colour.png": _encoded(".png", _COLOUR),
    "grey.png": _encoded(".png", _GREY),
    "alpha.png": _encoded(".png", _ALPHA),
    "deep.png": _encoded(".png", _DEEP),
    "palette.png": _saved("P", "PNG"),
    "turned.png": _saved("RGB", "PNG", exif=_exif(8)),
    "colour.jpg": _encoded(".jpg", _COLOUR),
    "progressive.jpg": _encoded(".jpg", _COLOUR, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "turned.jpg": _saved("RGB", "JPEG", exif=_exif(6)),
    "cmyk.jpg": _saved("CMYK", "JPEG"),
    "plain.tif": _saved("RGB", "TIFF"),
    "lzw.tif": _saved("RGB", "TIFF", compression="tiff_lzw"),
    "deflate.tif": _saved("RGB", "TIFF", compression="tiff_adobe_deflate"),
    "deep.tif": _encoded(".tif", _DEEP),
    "turned.tif": _saved("RGB", "TIFF", tiffinfo={0x0112: 6}),
    "lossy.webp": _encoded(".webp", _COLOUR, cv2.IMWRITE_WEBP_QUALITY, 80),
    "lossless.webp": _encoded(".webp", _ALPHA, cv2.IMWRITE_WEBP_QUALITY, 101),
    "turned.webp": _saved("RGB", "WEBP", exif=_exif(3)),
    "colour.bmp": _encoded(".bmp", _COLOUR),
    "palette.bmp": _saved("P", "BMP"),
    "colour.ppm": _encoded(".ppm", _COLOUR),
    "text.ppm": _encoded(".ppm", _COLOUR, cv2.IMWRITE_PXM_BINARY, 0),
    "deep.pgm": _encoded(".pgm", _DEEP[:, :, 0]),
    "animation.gif": _saved("P", "GIF"),
    "colour.jp2": _saved("RGB", "JPEG2000"),
    "colour.avif": _encoded(".avif", _COLOUR),
}


def _read(path: Path) -> object:
    inspected = inspect_one(path)
    image = read_image(path)
    if not isinstance(inspected, ImageFile):
        if "is not taken for training" in inspected:
            return image.shape
        raise Refused(inspected)
    if (inspected.height, inspected.width) != image.shape[:2]:
        raise AssertionError(f"the data stage says {inspected}, the reader gives {image.shape}")
    return image.shape


KIND = Kind(
    samples={name: Sample(name, content, damage_bytes) for name, content in _FILES.items()},
    read=_read,
    own=(ImageError,),
    share=4,
)
