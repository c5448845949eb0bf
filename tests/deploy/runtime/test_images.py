import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from deploy.runtime.errors import ImageError
from deploy.runtime.images import checked_image, decode_image, read_image

RGB = (200, 100, 50)


def encoded(image: Pillow.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


def plain(mode: str, size: tuple[int, int] = (24, 16)) -> Pillow.Image:
    return Pillow.new("RGB", size, RGB).convert(mode)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_pixels_equal_pillow_reversed(tmp_path: Path) -> None:
    pixels = noise(17, 23)
    (tmp_path / "x.png").write_bytes(encoded(Pillow.fromarray(pixels), "PNG"))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), pixels[..., ::-1])


def test_files_give_the_same_pixels_as_mmcv_in_training(tmp_path: Path) -> None:
    mmcv = pytest.importorskip("mmcv")
    picture = Pillow.fromarray(cv2.resize(noise(9, 11), (110, 90)))
    for name, kind in (("a.jpg", "JPEG"), ("b.png", "PNG"), ("c.webp", "WEBP"), ("d.bmp", "BMP")):
        path = tmp_path / name
        path.write_bytes(encoded(picture, kind))
        np.testing.assert_array_equal(read_image(path), mmcv.imread(str(path)))


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("L", "PNG", (124, 124, 124)),
        ("LA", "PNG", (124, 124, 124)),
        ("1", "BMP", None),
        ("RGB", "PNG", RGB[::-1]),
        ("RGBA", "PNG", RGB[::-1]),
        ("CMYK", "JPEG", RGB[::-1]),
    ],
)
def test_colour_spaces_become_bgr(mode: str, kind: str, expected: tuple[int, int, int] | None) -> None:
    image = decode_image(encoded(plain(mode), kind), "x")
    assert (image.shape, image.dtype) == ((16, 24, 3), np.uint8)
    if expected:
        np.testing.assert_allclose(image[8, 12], expected, atol=4)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_keep_the_upper_eight(suffix: str) -> None:
    deep = np.full((4, 6, 3), (0x12FF, 0x8000, 0xFE00), np.uint16)
    image = decode_image(cv2.imencode(suffix, deep)[1].tobytes(), "x")
    np.testing.assert_allclose(image[0, 0], (0x12, 0x80, 0xFE), atol=1)


@pytest.mark.parametrize("size", [(1, 1), (3000, 200), (1, 5000)])
def test_any_shape_decodes(size: tuple[int, int]) -> None:
    assert decode_image(encoded(plain("RGB", size), "PNG"), "x").shape == (size[1], size[0], 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.9])
def test_truncated_file_is_refused_by_name(tmp_path: Path, kind: str, share: float) -> None:
    content = encoded(Pillow.fromarray(noise(60, 90)), kind)
    path = tmp_path / "half.img"
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ImageError, match=r"half\.img: not an image that can be decoded"):
        read_image(path)


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture\n")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"text\.png: not an image"):
        read_image(tmp_path / "text.png")
    with pytest.raises(ImageError, match=r"empty\.png: the file is empty"):
        read_image(str(tmp_path / "empty.png"))
    with pytest.raises(ImageError, match=r"gone\.png: cannot be read: No such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="cannot be read: Is a directory"):
        read_image(tmp_path)


def test_absurd_size_is_refused_before_memory_is_taken() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match=r"bomb.png: more pixels than OpenCV decodes; .*OPENCV_IO_MAX_IMAGE_PIXELS"):
        decode_image(bomb, "bomb.png")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_bgr_image_are_refused(array: np.ndarray) -> None:
    with pytest.raises(ImageError, match=r"expected a uint8 array \[height, width, 3\] in BGR order, got"):
        checked_image(array)
