"""Headers of every kind that OpenCV reads: the size that it decodes, and nothing decoded where that is too much."""

import io
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from deploy.runtime import images
from deploy.runtime.errors import ImageError
from deploy.runtime.image_headers import ImageHeader, read_header
from deploy.runtime.images import decode_image

WIDTH, HEIGHT = 37, 23


def pillow(mode: str, kind: str, size: tuple[int, int] = (WIDTH, HEIGHT), **options: object) -> bytes:
    stream = io.BytesIO()
    Pillow.new(mode, size).save(stream, kind, **options)
    return stream.getvalue()


def opencv(suffix: str, dtype: type = np.uint8, channels: int = 3) -> bytes:
    return cv2.imencode(suffix, np.zeros((HEIGHT, WIDTH, channels), dtype))[1].tobytes()


def old_bmp() -> bytes:
    """A header of 12 bytes, as OS/2 wrote it."""
    pixels = bytes((3 * WIDTH + 3) // 4 * 4 * HEIGHT)
    return b"BM" + struct.pack("<IIIIHHHH", 26 + len(pixels), 0, 26, 12, WIDTH, HEIGHT, 1, 24) + pixels


FILES: dict[str, Callable[[], bytes]] = {
    "png": lambda: pillow("RGB", "PNG"),
    "png of 1 bit": lambda: pillow("1", "PNG"),
    "jpeg": lambda: pillow("RGB", "JPEG"),
    "jpeg behind attachments": lambda: pillow(
        "RGB", "JPEG", exif=b"Exif\0\0" + bytes(60_000), icc_profile=bytes(200_000)
    ),
    "progressive jpeg": lambda: pillow("RGB", "JPEG", progressive=True),
    "cmyk jpeg": lambda: pillow("CMYK", "JPEG"),
    "mpo": lambda: pillow("RGB", "MPO"),
    "bmp": lambda: pillow("RGB", "BMP"),
    "old bmp": old_bmp,
    "gif": lambda: pillow("RGB", "GIF"),
    "tiff": lambda: pillow("RGB", "TIFF"),
    "fax tiff": lambda: pillow("1", "TIFF", compression="group4"),
    "large-file tiff": lambda: pillow("RGB", "TIFF", big_tiff=True),
    "webp": lambda: pillow("RGB", "WEBP"),
    "lossless webp": lambda: pillow("RGB", "WEBP", lossless=True),
    "transparent webp": lambda: cv2.imencode(".webp", np.full((HEIGHT, WIDTH, 4), 7, np.uint8))[1].tobytes(),
    "extended webp": lambda: pillow("RGB", "WEBP", exif=Pillow.Exif()),
    "ppm": lambda: pillow("RGB", "PPM"),
    "ppm with comments": lambda: b"P6\n# 1 2\n37 # 9\n#\n23\n255\n" + bytes(3 * WIDTH * HEIGHT),
    "plain pgm": lambda: b"P2 37 23 255\n" + b"0 " * (WIDTH * HEIGHT),
    "pbm": lambda: pillow("1", "PPM"),
    "pam": lambda: opencv(".pam"),
    "pfm": lambda: opencv(".pfm", np.float32),
    "hdr": lambda: opencv(".hdr", np.float32),
    "sun raster": lambda: opencv(".ras"),
    "jpeg 2000": lambda: pillow("RGB", "JPEG2000"),
    "avif": lambda: pillow("RGB", "AVIF"),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_header_says_what_is_decoded(kind: str) -> None:
    content = FILES[kind]()
    header = read_header(content)
    assert header is not None
    assert (header.width, header.height) == (WIDTH, HEIGHT)
    assert decode_image(content, kind).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_is_held_against_the_limit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", str(WIDTH * HEIGHT - 1))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match=rf"x: more pixels than OpenCV .* of {WIDTH} x {HEIGHT}, at most 850\)"):
        decode_image(FILES[kind](), "x")


@pytest.mark.parametrize("kind", FILES)
def test_a_header_that_is_cut_off_anywhere_is_none_or_a_size(kind: str) -> None:
    content = FILES[kind]()
    for cut in range(min(len(content), 600)):
        header = read_header(content[:cut])
        assert header is None or min(header.width, header.height, header.decoding_bytes) >= 0


@given(
    kind=st.sampled_from(sorted(FILES)),
    damage=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 4000),
)
def test_a_damaged_header_is_none_or_a_size(kind: str, damage: list[tuple[int, int]], cut: int) -> None:
    content = bytearray(FILES[kind]()[:cut])
    for place, value in damage:
        if place < len(content):
            content[place] = value
    header = read_header(bytes(content))
    assert header is None or min(header.width, header.height, header.decoding_bytes) >= 0


def png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_small_file_of_a_gigantic_picture_takes_no_memory(tmp_path: Path) -> None:
    side = 32_000
    squeeze = zlib.compressobj(9)
    rows = b"".join([squeeze.compress(bytes(1 + side // 8)) for _ in range(side)]) + squeeze.flush()
    (tmp_path / "bomb.png").write_bytes(png(side, side, 1, 0, rows))
    assert (tmp_path / "bomb.png").stat().st_size < 200_000
    code = (
        "import sys, resource; from deploy.runtime.images import read_image\n"
        "try: read_image(sys.argv[1])\nexcept Exception as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "bomb.png")]
    said, peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "a PNG of 32000 x 32000, at most 536,870,912" in said
    # What a child began with counts too: it is that of its parent.
    assert int(peak) < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + 300_000


@pytest.mark.parametrize(
    ("content", "most_pixels"),
    [
        # An AVIF takes 17 bytes a pixel on the way, twice what the limit has for one.
        (FILES["avif"](), 2 * WIDTH * HEIGHT),
        (FILES["jpeg 2000"](), 2 * WIDTH * HEIGHT - 1),
    ],
)
def test_memory_on_the_way_is_bounded_too(content: bytes, most_pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", str(most_pixels))
    with pytest.raises(ImageError, match=r"37 x 23 pixels takes 0\.0 GB to decode, more than are taken"):
        decode_image(content, "x")
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", str(3 * WIDTH * HEIGHT))
    assert decode_image(content, "x").shape == (HEIGHT, WIDTH, 3)


def test_what_is_larger_than_the_memory_left_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "memory_left", lambda: 1_000_000_000)
    with pytest.raises(ImageError, match=r"this machine's memory; .*takes 2\.4 GB to decode, 1\.0 are left"):
        decode_image(png(20_000, 20_000, 8, 2, b""), "x")


def test_a_picture_that_the_documentation_promises_is_within_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "memory_left", lambda: 8_000_000_000)
    for kind in ("PNG", "progressive JPEG"):
        images.check_size(ImageHeader(kind, 20_000, 20_000, 9 if kind != "PNG" else 6), "x")


def test_channels_and_depth_count() -> None:
    def needed(content: bytes) -> float:
        header = read_header(content)
        assert header is not None
        return header.bytes_per_pixel

    assert needed(FILES["progressive jpeg"]()) > needed(FILES["jpeg"]())
    assert needed(FILES["tiff"]()) > needed(FILES["fax tiff"]())
    assert needed(pillow("RGB", "JPEG2000")) > needed(pillow("L", "JPEG2000"))
    assert needed(tiled(16, 16)) < 20
    assert needed(tiled(1 << 15, 1 << 15)) * WIDTH * HEIGHT > 4 << 30
    palette = FILES["jpeg 2000"]().replace(b"colr", b"pclr\x00\x02\xff\x07colr")
    assert needed(palette) >= 4 * 255


def tiled(width: int, height: int) -> bytes:
    """The header of a TIFF with one tile."""
    tags = [(256, WIDTH), (257, HEIGHT), (258, 8), (277, 3), (322, width), (323, height)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def test_a_tile_larger_than_memory_is_refused() -> None:
    with pytest.raises(ImageError, match=r"37 x 23 pixels takes 4\.3 GB to decode"):
        decode_image(tiled(1 << 15, 1 << 15), "x")


def test_scans_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    content = pillow("L", "JPEG", (4000, 4000), progressive=True)
    start = content.rindex(b"\xff\xda")
    last = content[start:-2]
    assert decode_image(content[:start] + 20 * last + content[-2:], "x").shape == (4000, 4000, 3)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ImageError, match=r"a JPEG of 4000 x 4000 pixels in \d{4} scans"):
        decode_image(content[:start] + 1000 * last + content[-2:], "x")


def test_markers_without_end_are_not_walked_to_theirs() -> None:
    began = time.monotonic()
    assert read_header(b"\xff\xd8" + b"\xff\x00" * 50_000_000) is None
    assert time.monotonic() - began < 5
