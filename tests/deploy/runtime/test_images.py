import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

from deploy.runtime.errors import ImageError
from deploy.runtime.images import checked_image, decode_image, load_image, read_image

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
    for impossible in ("a\0b.png", "\udfff\ud800.png"):
        with pytest.raises(ImageError, match="cannot be read: "):
            read_image(impossible)
    with pytest.raises(ImageError, match="cannot be read: Is a directory"):
        read_image(tmp_path)


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match=r"pipe\.png: cannot be read: a named pipe \(FIFO\), not a regular file"):
        read_image(tmp_path / "pipe.png")
    with pytest.raises(ImageError, match=r"/dev/zero: cannot be read: a device, not a regular file"):
        load_image("/dev/zero")


def test_a_file_larger_than_any_image_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "sparse.bmp").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(ImageError, match=r"sparse\.bmp: cannot be read: more than 4,294,967,296 bytes"):
        read_image(tmp_path / "sparse.bmp")


def test_absurd_size_is_refused_before_memory_is_taken() -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match=r"bomb.png: more pixels than OpenCV decodes; .*OPENCV_IO_MAX_IMAGE_PIXELS"):
        decode_image(bomb, "bomb.png")


@pytest.mark.parametrize(
    ("array", "cure"),
    [
        (np.zeros((4, 4), np.uint8), r"uint8 \[4, 4\]; convert it with cv2\.cvtColor\(image, cv2\.COLOR_GRAY2BGR\)"),
        (np.zeros((4, 4, 1), np.uint8), r"uint8 \[4, 4, 1\]; convert .*COLOR_GRAY2BGR"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 \[4, 4, 4\]; convert .*COLOR_BGRA2BGR"),
        (np.zeros((4, 4, 2), np.uint8), r"uint8 \[4, 4, 2\]; convert .* or pass the path"),
        (np.zeros((3, 4, 5), np.uint8), r"uint8 \[3, 4, 5\]; move its channels last with image\.transpose\(1, 2, 0\)"),
        (np.zeros((4, 4, 3), np.float32), r"float32 \[4, 4, 3\]; .*\(255 \* image\)\.round\(\)\.astype\(np\.uint8\)"),
        (np.zeros((4, 4, 3), np.uint16), r"uint16 \[4, 4, 3\]; \(image >> 8\)\.astype\(np\.uint8\)"),
        (np.zeros((4, 4, 3), np.int64), r"int64 \[4, 4, 3\]; .*astype\(np\.uint8\)"),
        (np.zeros((4, 4, 3), bool), r"bool \[4, 4, 3\]; .*astype\(np\.uint8\)"),
        (np.zeros((0, 4, 3), np.uint8), r"uint8 \[0, 4, 3\]; it has no pixels"),
        (np.zeros((), np.uint8), r"uint8 \[\]; "),
    ],
)
def test_arrays_that_are_no_image_are_refused_with_the_way_to_one(array: np.ndarray, cure: str) -> None:
    with pytest.raises(ImageError, match=rf"^image: expected a uint8 array \[.*\] in BGR order, got {cure}"):
        checked_image(array)
    with pytest.raises(ImageError, match=r"^third: expected a uint8 array \[.*\] in RGB order, got "):
        checked_image(array, "rgb", "third")


def test_the_cures_do_what_they_say() -> None:
    pixels = noise(6, 7)
    np.testing.assert_array_equal(checked_image((255 * (pixels / 255)).round().astype(np.uint8)), pixels)
    np.testing.assert_array_equal(checked_image(((pixels.astype(np.uint16) << 8) >> 8).astype(np.uint8)), pixels)
    np.testing.assert_array_equal(checked_image(np.moveaxis(pixels, -1, 0).transpose(1, 2, 0)), pixels)
    for code in (cv2.COLOR_GRAY2BGR, cv2.COLOR_GRAY2RGB):
        assert (checked_image(cv2.cvtColor(pixels[..., 0], code)) == pixels[..., :1]).all()
    for code in (cv2.COLOR_BGRA2BGR, cv2.COLOR_RGBA2RGB):
        np.testing.assert_array_equal(checked_image(cv2.cvtColor(np.dstack([pixels, pixels[..., 0]]), code)), pixels)


@pytest.mark.parametrize(
    "view", [np.s_[:], np.s_[::-1], np.s_[:, ::-1], np.s_[::2, 1::3], np.s_[..., ::-1]], ids=lambda view: str(view)
)
def test_any_view_of_an_rgb_array_is_turned_round(view: object) -> None:
    pixels = noise(12, 20)
    pixels.setflags(write=False)
    np.testing.assert_array_equal(checked_image(pixels[view], "rgb"), pixels[view][..., ::-1])
    assert checked_image(pixels, "bgr") is pixels


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("RGB", RGB[::-1]),
        ("RGBX", RGB[::-1]),
        ("CMYK", RGB[::-1]),
        ("YCbCr", RGB[::-1]),
        ("HSV", RGB[::-1]),
        ("L", (124, 124, 124)),
        ("P", None),
        ("1", None),
    ],
)
def test_pil_images_are_rgb_whatever_their_mode(mode: str, expected: tuple[int, int, int] | None) -> None:
    for colors in ("bgr", "rgb"):
        image = load_image(plain(mode), colors)
        assert (image.shape, image.dtype) == ((16, 24, 3), np.uint8)
        if expected:
            np.testing.assert_allclose(image[8, 12], expected, atol=4)


def test_pil_images_lose_transparency_and_lower_bits_as_files_do() -> None:
    clear = Pillow.fromarray(np.dstack([noise(8, 9), np.zeros((8, 9), np.uint8)]), "RGBA")
    for image in (clear, clear.convert("LA")):
        np.testing.assert_array_equal(load_image(image), decode_image(encoded(image, "PNG"), "x"))
    deep = Pillow.fromarray(np.array([[0x12FF, 0x8000], [0xFE00, 0xFF]], np.uint16))
    assert deep.mode == "I;16"
    assert load_image(deep)[..., 0].tolist() == [[0x12, 0x80], [0xFE, 0]]
    np.testing.assert_allclose(load_image(deep), decode_image(encoded(deep, "PNG"), "x"), atol=1)


def test_pil_images_that_cannot_be_pixels_are_refused() -> None:
    for mode in ("I", "F"):
        with pytest.raises(ImageError, match=rf"^image: a PIL image .* got mode '{mode}', size \(24, 16\); scale"):
            load_image(plain("L").convert(mode))
    with pytest.raises(ImageError, match=r"size \(0, 5\)"):
        load_image(Pillow.new("RGB", (0, 5)))
    with pytest.raises(ImageError, match=r"^image \(a PIL image of mode 'La'\): cannot be decoded: .*conversion"):
        load_image(Pillow.new("La", (4, 4)))


def test_a_pil_image_of_a_cut_off_file_is_refused() -> None:
    content = encoded(Pillow.fromarray(noise(60, 90)), "PNG")
    with pytest.raises(ImageError, match=r"^images\[3\] \(a PIL image of mode 'RGB'\): cannot be decoded: "):
        load_image(Pillow.open(io.BytesIO(content[: len(content) // 2])), name="images[3]")


def test_content_is_decoded_like_a_file(tmp_path: Path) -> None:
    content = encoded(Pillow.fromarray(noise(17, 23)), "PNG")
    (tmp_path / "x.png").write_bytes(content)
    spread = memoryview(bytes(byte for byte in content for _ in range(2)))[::2]
    for form in (content, bytearray(content), memoryview(content), spread):
        np.testing.assert_array_equal(load_image(form, "rgb"), read_image(tmp_path / "x.png"))
    with pytest.raises(ImageError, match=r"^image \(0 bytes\): the file is empty"):
        load_image(b"")
    with pytest.raises(ImageError, match=r"^image \(9 bytes\): not an image that can be decoded"):
        load_image(bytearray(b"photo.jpg"))


def test_any_path_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(encoded(plain("RGB"), "PNG"))
    (entry,) = os.scandir(tmp_path)
    (raw,) = os.scandir(os.fsencode(tmp_path))
    for path in (tmp_path / "x.png", str(tmp_path / "x.png"), entry, raw):
        assert load_image(path).shape == (16, 24, 3)
