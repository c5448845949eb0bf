import hashlib
import io

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.datasets.image_files import ImageFile, inspect, inspect_one

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


def test_size_is_the_one_after_exif_rotation_as_opencv_loads_it(tmp_path):
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.jpg"
        path.write_bytes(encode("JPEG", exif=exif))
        found = inspect_one(path)
        height, width = cv2.imread(str(path), cv2.IMREAD_COLOR).shape[:2]
        assert (found.width, found.height, found.orientation) == (width, height, orientation)


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
