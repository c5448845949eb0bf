"""Odd and bad image files: the right box comes out, or an error that names the file and the cure."""

import io
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

import deploy
from deploy.prediction.predict import main
from deploy.runtime.detector import Detector
from deploy.runtime.errors import ImageError
from deploy.runtime.images import decode_image

BOX = (30, 10, 50, 20)
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


@pytest.fixture(scope="module")
def detector(artefact: Path) -> Detector:
    return deploy.load(artefact, "onnxruntime", threads=1)


def picture(inside: tuple[int, int, int] = WHITE) -> Pillow.Image:
    """96 x 64 pixels, black but for the box: that is what the artefact finds."""
    image = Pillow.new("RGB", (96, 64), BLACK)
    image.paste(inside, BOX)
    return image


def encoded(image: Pillow.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def sixteen_bits(channels: int, suffix: str) -> bytes:
    deep = np.asarray(picture().convert("L")).astype(np.uint16) * 257
    return cv2.imencode(suffix, deep if channels == 1 else np.dstack([deep] * channels))[1].tobytes()


def palette_with_transparency() -> bytes:
    image = picture().quantize(2)
    return encoded(image, "PNG", transparency=image.getpixel((40, 15)))


def translucent(alpha: int, kind: str = "PNG") -> bytes:
    image = picture().convert("RGBA")
    image.putalpha(alpha)
    return encoded(image, kind)


def animation(kind: str, **options: object) -> bytes:
    later = [Pillow.new("RGB", (96, 64), colour) for colour in (WHITE, BLACK)]
    return encoded(picture(), kind, save_all=True, append_images=later, **options)


ENCODINGS: dict[str, Callable[[], bytes]] = {
    "grey.jpg": lambda: encoded(picture().convert("L"), "JPEG", quality=95),
    "grey_alpha.png": lambda: encoded(picture().convert("LA"), "PNG"),
    "rgba.png": lambda: translucent(255),
    "invisible.png": lambda: translucent(0),
    "two_colours.png": lambda: encoded(picture().convert("1"), "PNG"),
    "fax.tif": lambda: encoded(picture().convert("1"), "TIFF", compression="group4"),
    "palette.png": lambda: encoded(picture().quantize(2), "PNG"),
    "palette_with_transparency.png": palette_with_transparency,
    "cmyk.jpg": lambda: encoded(picture().convert("CMYK"), "JPEG", quality=95),
    "cmyk.tif": lambda: encoded(picture().convert("CMYK"), "TIFF"),
    "progressive.jpg": lambda: encoded(picture(), "JPEG", progressive=True, quality=95),
    "grey_16_bits.png": lambda: sixteen_bits(1, ".png"),
    "grey_16_bits.tif": lambda: sixteen_bits(1, ".tif"),
    "rgb_16_bits.png": lambda: sixteen_bits(3, ".png"),
    "rgba_16_bits.png": lambda: sixteen_bits(4, ".png"),
    "animation.gif": lambda: animation("GIF"),
    "animation.png": lambda: animation("PNG"),
    "animation.webp": lambda: animation("WEBP", lossless=True),
    "pages.tif": lambda: animation("TIFF"),
    "a_png_in_truth.jpg": lambda: encoded(picture(), "PNG"),
    "a_jpeg_in_truth.png": lambda: encoded(picture(), "JPEG", quality=95),
    "no_suffix": lambda: encoded(picture(), "BMP"),
    "two words.webp": lambda: encoded(picture(), "WEBP", lossless=True),
    "Bäume 樹.png": lambda: encoded(picture(), "PNG"),
    os.fsdecode(b"caf\xe9.png"): lambda: encoded(picture(), "PNG"),
}


@pytest.mark.parametrize("name", ENCODINGS, ids=ascii)
def test_every_encoding_gives_the_box(name: str, detector: Detector, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(ENCODINGS[name]())
    found = detector(tmp_path / name)
    np.testing.assert_allclose(found.boxes, [BOX], atol=2)
    # The score is the share of white pixels; JPEG leaves some grey around them.
    np.testing.assert_allclose(found.scores, [200 / (96 * 64)], rtol=0.15)


# How a camera that is turned that way has stored the upright picture (EXIF 2.32, tag 0x0112).
STORED = {
    1: None,
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_90,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_is_turned_upright(orientation: int, kind: str, detector: Detector, tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    way = STORED[orientation]
    stored = picture() if way is None else picture().transpose(way)
    (tmp_path / "x").write_bytes(encoded(stored, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {})))
    np.testing.assert_allclose(detector(tmp_path / "x").boxes, [BOX], atol=2)


def test_an_alpha_channel_is_dropped_except_that_a_tiff_is_multiplied_with_it_as_in_training(tmp_path: Path) -> None:
    mmcv = pytest.importorskip("mmcv")
    for kind, expected in (("PNG", 255), ("WEBP", 255), ("TIFF", 128)):
        content = translucent(128, kind)
        (tmp_path / kind).write_bytes(content)
        image = decode_image(content, kind)
        np.testing.assert_allclose(image[15, 40], expected, atol=1)
        np.testing.assert_array_equal(image, mmcv.imread(str(tmp_path / kind)))


@pytest.mark.parametrize("shape", [(1, 1), (3, 20_000), (20_000, 3), (1, 70_000)])
def test_extreme_shapes_give_a_box_and_a_picture(artefact: Path, tmp_path: Path, shape: tuple[int, int]) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), np.full((*shape, 3), 255, np.uint8))
    main([str(artefact), str(tmp_path / "x.png"), "--out", str(tmp_path / "out"), "--score", "0"])
    content = json.loads((tmp_path / "out/detections.json").read_text())
    boxes = [item["bbox"] for item in content["annotations"]]
    np.testing.assert_allclose(boxes, [[0, 0, shape[1], shape[0]]])
    assert cv2.imread(str(tmp_path / "out/x.jpg")) is not None


def white_png(side: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + b"\xff" * (side // 8)) * side
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("limit", "memory", "message"),
    [
        (1 << 28, 0, r"large\.png: more pixels than OpenCV decodes; cut the image into tiles, or raise the limit with"),
        (1 << 30, 1, r"large\.png: too large for this machine's memory; cut the image into tiles"),
    ],
    ids=["OpenCV's limit", "memory"],
)
def test_an_image_of_20000_by_20000_that_is_too_large_is_named(tmp_path, limit, memory, message) -> None:
    (tmp_path / "large.png").write_bytes(white_png(20_000))
    code = (
        "import resource, sys\nfrom deploy.runtime.errors import ImageError\n"
        "from deploy.runtime.images import read_image\n"
        f"if {memory}: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "try: read_image(sys.argv[1])\nexcept ImageError as error: print(error)"
    )
    environment = {**os.environ, "OPENCV_IO_MAX_IMAGE_PIXELS": str(limit), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, str(tmp_path / "large.png")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert re.search(message, done.stdout)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM"])
@settings(max_examples=40)
@given(data=st.data())
def test_damage_gives_an_image_or_an_error_by_name(kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(picture((200, 100, 50)), kind))
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=8)):
        content[position] = data.draw(st.integers(0, 255))
    length = data.draw(st.integers(0, len(content)))
    try:
        image = decode_image(bytes(content[:length]), "hurt.img")
    except ImageError as error:
        assert str(error).startswith("hurt.img: ")  # noqa: PT017 - either outcome is right
    else:
        assert (image.dtype, image.ndim) == (np.uint8, 3)


def test_what_opencv_cannot_decode_is_named_with_a_cure(tmp_path: Path, detector: Detector) -> None:
    (tmp_path / "depth.tif").write_bytes(encoded(Pillow.new("F", (8, 8)), "TIFF"))
    with pytest.raises(ImageError, match=r"depth\.tif: not an image that can be decoded .*; save it as PNG or JPEG"):
        detector(tmp_path / "depth.tif")
