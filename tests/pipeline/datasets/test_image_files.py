import hashlib
import io
import os
import struct
import time
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from deploy.runtime.errors import ImageError
from deploy.runtime.images import decode_image, read_image
from pipeline.datasets import image_files
from pipeline.datasets.image_files import ImageFile, inspect, inspect_one
from pipeline.datasets.near_duplicates import look_of

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)


def encode(kind: str, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "PPM"])
def test_every_accepted_format_is_read_with_size_and_hash(kind, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(encode(kind))
    assert inspect_one(path) == ImageFile(hashlib.sha256(path.read_bytes()).hexdigest(), 40, 30, 1)
    assert cv2.imread(str(path), cv2.IMREAD_COLOR).shape == (30, 40, 3)


def test_a_pipe_or_a_device_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert "pipe.png: a named pipe (FIFO), not a regular file" in str(inspect_one(tmp_path / "pipe.png"))
    assert "/dev/zero: a device, not a regular file" in str(inspect_one(Path("/dev/zero")))


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[:30, :30], np.full((30, 40, 3), 90, np.uint8)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
def test_size_and_turn_are_those_of_the_pixels_that_training_gets(kind, pixels, tmp_path):
    for tag in range(10):
        if kind == "TIFF" and tag in (0, 9):
            continue  # Pillow writes none; see below
        exif = Image.Exif()
        exif[0x0112] = tag
        path = tmp_path / f"{tag}"
        Image.fromarray(pixels).save(path, kind, exif=exif)
        found = inspect_one(path)
        height, width = read_image(path).shape[:2]
        assert (found.width, found.height) == (width, height)
        assert found.orientation == (tag if 1 <= tag <= 8 else 1)


@pytest.mark.parametrize("tag", [0, 9])
def test_a_tiff_with_a_tag_that_means_nothing_is_not_turned(tag, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 2
    content = encode("TIFF", exif=exif)
    entry = struct.pack("<HHIH", 0x0112, 3, 1, 2)
    assert content.count(entry) == 1
    (tmp_path / "a.tif").write_bytes(content.replace(entry, struct.pack("<HHIH", 0x0112, 3, 1, tag)))
    assert inspect_one(tmp_path / "a.tif").orientation == 1


def test_an_orientation_of_xmp_turns_nothing(tmp_path):
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    for number, pixels in enumerate((PIXELS, np.full((30, 30, 3), 90, np.uint8))):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(pixels).save(path, xmp=xmp)
        found = inspect_one(path)
        assert (found.width, found.height, found.orientation) == (pixels.shape[1], 30, 1)


def test_exif_behind_the_pixels_of_a_png_counts(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    content = encode("PNG", exif=exif)
    start, end = content.index(b"eXIf") - 4, content.index(b"IDAT") - 4
    tail = content[-12:]
    (tmp_path / "a.png").write_bytes(content[:start] + content[end:-12] + content[start:end] + tail)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), PIXELS[::-1, ::-1, ::-1])
    assert inspect_one(tmp_path / "a.png").orientation == 3


@pytest.mark.parametrize("options", [{"compression": "zstd"}, {"compression": "lzma"}])
def test_a_tiff_that_only_other_readers_decode_is_refused(options, tmp_path):
    try:
        content = encode("TIFF", **options)
    except OSError:
        pytest.skip("this Pillow cannot write it")
    (tmp_path / "a.tif").write_bytes(content)
    assert "a.tif is no readable image: not an image that can be decoded" in inspect_one(tmp_path / "a.tif")


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_a_tiff_of_32_bits_is_refused(dtype, tmp_path):
    Image.fromarray(np.arange(64 * 64).astype(dtype).reshape(64, 64)).save(tmp_path / "a.tif")
    assert "is no readable image" in inspect_one(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM"])
@pytest.mark.parametrize("lacking", [1, 2, 4, 12])
def test_files_that_lack_their_last_bytes_pass_where_training_reads_them(kind, lacking, tmp_path):
    path = tmp_path / "cut"
    path.write_bytes(encode(kind)[:-lacking])
    try:
        read_image(path)
    except ImageError:
        assert "is no readable image" in inspect_one(path)
    else:
        assert isinstance(inspect_one(path), ImageFile)


def png_of(width: int, height: int) -> bytes:
    """A PNG of one bit a pixel, all black, of any size in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(height * (1 + (width + 7) // 8)), 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_the_limit_of_size_is_the_readers(tmp_path):
    (tmp_path / "large.png").write_bytes(png_of(14_000, 13_000))  # Pillow alone refuses it
    found = inspect_one(tmp_path / "large.png")
    assert (found.width, found.height) == (14_000, 13_000)
    (tmp_path / "bomb.png").write_bytes(png_of(60_000, 20_000))
    assert "more pixels than OpenCV decodes" in inspect_one(tmp_path / "bomb.png")


def test_large_images_are_decoded_one_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(image_files, "_LARGE", 100)
    inside, most = [], []

    def decode(content, source):
        inside.append(source)
        most.append(len(inside))
        time.sleep(0.01)
        inside.pop()
        return decode_image(content, source)

    monkeypatch.setattr(image_files, "decode_image", decode)
    monkeypatch.setattr(image_files, "usable_cores", lambda: 8)
    for number in range(8):
        (tmp_path / f"{number}.png").write_bytes(encode("PNG"))
    inspect([tmp_path / f"{number}.png" for number in range(8)], "x")
    assert most == [1] * 8


KINDS_OF_JPEG = [
    *({"quality": 95}, {"quality": 30, "progressive": True}, {"subsampling": 0, "restart_marker_blocks": 3}),
    {"progressive": True, "subsampling": 2, "optimize": True},
]


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """A copy that is cut off, or has other, more or fewer bytes in some place."""
    place, count = int(random.integers(2, len(content))), int(random.integers(1, 30))
    other = random.bytes(count)
    kinds = (content[:place], content[:-count], content[:place] + content[place + count :])
    kinds += (content[:place] + other + content[place:], content[:place] + other + content[place + count :])
    kinds += (content[:place] + b"\xff" + other[:1] + content[place + 2 :],)
    return kinds[random.integers(len(kinds))]


@pytest.mark.parametrize("options", KINDS_OF_JPEG)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_an_eighth_of_a_jpeg_tells_of_the_same_damage_as_all_its_pixels(options, mode, tmp_path):
    random = np.random.default_rng(1)
    pixels = cv2.resize(random.integers(0, 256, (9, 12, 3), np.uint8), (97, 70), interpolation=cv2.INTER_CUBIC)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, "JPEG", **options)
    found = set()
    for number in range(150):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(damaged(stream.getvalue(), random))
        inspected = inspect_one(path)
        found.add(type(inspected))
        try:
            expected = read_image(path).shape[1::-1]
        except ImageError as error:
            expected = str(error).replace(str(path), f"{path} is no readable image", 1)
        assert (inspected if isinstance(inspected, str) else (inspected.width, inspected.height)) == expected
    assert found == {str, ImageFile}


def test_a_sound_upright_jpeg_is_decoded_to_an_eighth_alone(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(encode("JPEG"))
    expected = inspect_one(path)
    monkeypatch.setattr(image_files, "decode_image", lambda content, source: pytest.fail("decoded to full size"))
    assert inspect_one(path) == expected


# At an eighth, the second one has as many rows as columns.
@pytest.mark.parametrize("shape", [(30, 40), (28, 30)])
def test_a_jpeg_that_only_its_decoder_turns_has_the_size_of_its_pixels(shape, tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS[: shape[0], : shape[1]]).save(tmp_path / "a.jpg", exif=exif)
    monkeypatch.setattr(image_files, "_tag", lambda image: 1)
    found = inspect_one(tmp_path / "a.jpg")
    assert (found.width, found.height) == shape


def test_a_jpeg_of_too_many_scans_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    content = encode("JPEG", progressive=True)
    path.write_bytes(content + b"\xff\xda" * 20_000)
    monkeypatch.setenv("OPENCV_IO_MAX_IMAGE_PIXELS", "1200")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    assert "which no camera and no program writes" in inspect_one(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_truncated_files_are_found(kind, tmp_path):
    content = encode(kind)
    path = tmp_path / "cut"
    path.write_bytes(content[: len(content) * 2 // 3])
    assert "no readable image" in inspect_one(path)


def test_what_is_no_image_gets_a_reason(tmp_path):
    (tmp_path / "a.png").write_text("not an image")
    (tmp_path / "b.png").write_bytes(b"")
    (tmp_path / "c.gif").write_bytes(encode("GIF"))
    (tmp_path / "d.png").mkdir()
    paths = [tmp_path / name for name in ("a.png", "b.png", "c.gif", "d.png", "e.png")]
    reasons = inspect(paths, "checking")
    expected = ["no readable image", "no readable image", "is GIF", "cannot be read", "no such file"]
    for path, reason, words in zip(paths, reasons, expected, strict=True):
        assert words in reason
        assert str(path) in reason


def test_files_come_back_in_the_order_they_were_given(tmp_path):
    paths = []
    for size in range(1, 30):
        paths.append(tmp_path / f"{size}.png")
        Image.new("L", (size, 2 * size)).save(paths[-1])
    assert [(file.width, file.height) for file in inspect(paths, "x")] == [(size, 2 * size) for size in range(1, 30)]


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(kind=st.sampled_from(["PNG", "JPEG", "TIFF", "WEBP", "BMP"]), data=st.data())
def test_damaged_bytes_never_raise(kind, data, tmp_path):
    content = bytearray(encode(kind))
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=8)):
        content[position] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert isinstance(inspect_one(path), ImageFile | str)


@pytest.mark.parametrize("tag", [1, 6])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_look_is_that_of_the_file_and_only_where_it_is_asked_for(kind, tag, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = tag
    for number, size in enumerate(((40, 30), (400, 300))):
        path = tmp_path / f"{number}"
        Image.fromarray(PIXELS).resize(size).save(path, kind, exif=exif)
        found, without = inspect([path, path], "checking", with_looks=True)[0], inspect_one(path)
        assert without.look is None
        assert found.look == look_of(path.read_bytes(), "x") != 0
        assert (found.sha256, found.width, found.height, found.orientation) == (
            *(without.sha256, without.width, without.height, without.orientation),
        )
