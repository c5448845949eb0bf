"""Video files in and out, on files that OpenCV's FFmpeg really writes and reads."""

import os
import resource
import signal
import struct
import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.prediction.video import Frame, VideoReader, VideoWriter
from deploy.runtime.errors import VideoError
from tests.deploy.clips import turned, write_clip


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def frames_of(path: Path, every: int = 1) -> list[Frame]:
    with VideoReader(path, every) as video:
        return list(video)


def write_all(path: Path, images: Iterable[np.ndarray], parts: Path) -> None:
    with VideoWriter(path, 25, (64, 96), parts) as writer:
        for image in images:
            writer.write(image)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mp4", "mp4v"), (".avi", "MJPG"), (".mov", "mp4v"), (".mkv", "mp4v"), (".webm", "VP80"), (".mpg", "mpg1")],
)
def test_frames_come_in_order_with_number_time_and_pixels(tmp_path: Path, suffix: str, codec: str) -> None:
    path = write_clip(tmp_path / f"clip{suffix}", frames=12, rate=25, codec=codec)
    with VideoReader(path) as video:
        frames = list(video)
        assert video.damage is None
        assert (video.rate, video.frames_read) == (25, 12)
    assert [frame.number for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.timestamp for frame in frames], np.arange(12) / 25, atol=1e-3)
    for frame in frames:
        assert (frame.image.shape, frame.image.dtype) == ((64, 96, 3), np.uint8)
        # The clip gets brighter by 10 a frame, with a red corner.
        np.testing.assert_allclose(frame.image[40:, 60:].mean(axis=(0, 1)), 10 * frame.number, atol=8)
        np.testing.assert_allclose(frame.image[4:12, 4:16].mean(axis=(0, 1)), (0, 0, 255), atol=40)


def test_a_stride_gives_every_nth_frame(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", frames=11, rate=10)
    frames = frames_of(path, every=4)
    assert [(frame.number, round(frame.timestamp, 3)) for frame in frames] == [(0, 0.0), (4, 0.4), (8, 0.8)]
    with pytest.raises(ValueError, match="every must be 1 or more, got 0"):
        VideoReader(path, every=0)


@pytest.mark.parametrize(
    ("degrees", "shape", "corner"),
    [(90, (96, 64), (8, -8)), (180, (64, 96), (-8, -8)), (270, (96, 64), (-8, 8))],
)
def test_a_phone_held_upright_gives_upright_frames(tmp_path: Path, degrees: int, shape, corner) -> None:
    path = turned(write_clip(tmp_path / "clip.mp4", frames=2), degrees)
    image = frames_of(path)[0].image
    assert image.shape[:2] == shape
    assert image[corner][2] > 200


@pytest.mark.parametrize("name", ["two words.mp4", "12:30.mp4", "clip%03d.mp4", "-o.mp4", "Bäume 樹.mp4", "clip"])
def test_a_name_is_taken_as_it_stands(tmp_path: Path, name: str) -> None:
    write_clip(tmp_path / "clip.mp4", frames=3).rename(tmp_path / name)
    assert len(frames_of(tmp_path / name)) == 3


def test_a_name_that_is_not_utf8_is_refused_before_opencv_dies_of_it(tmp_path: Path, parts: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    write_clip(tmp_path / "clip.mp4", frames=3).rename(path)
    with pytest.raises(VideoError, match=r"caf\\udce9\.mp4: .*not UTF-8; rename it"):
        VideoReader(path)
    with pytest.raises(OSError, match="not UTF-8"):
        VideoWriter(path, 25, (8, 8), path.with_suffix(""))
    result = tmp_path / os.fsdecode(b"r\xe9sult.mp4")
    write_all(result, [np.zeros((64, 96, 3), np.uint8)], parts)
    assert result.stat().st_size > 0


def test_what_is_no_video_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 50)
    (tmp_path / "cut.mp4").write_bytes(write_clip(tmp_path / "clip.mp4", frames=9).read_bytes()[:-400])
    (tmp_path / "folder.mp4").mkdir()
    for name, message in {
        "empty.mp4": "the file is empty",
        "text.mp4": "not a video that can be decoded",
        "cut.mp4": "not a video that can be decoded",
        "gone.mp4": "cannot be read: No such file",
        "folder.mp4": "cannot be read: Is a directory",
    }.items():
        with pytest.raises(VideoError, match=rf"{name}: {message}"):
            VideoReader(tmp_path / name)


def test_a_video_without_frames_is_an_error(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "none.avi", frames=0)
    with VideoReader(path) as video, pytest.raises(VideoError, match=r"none\.avi: no frame can be read"):
        next(iter(video))


@pytest.mark.parametrize(("suffix", "codec"), [(".avi", "MJPG"), (".mkv", "mp4v")])
def test_a_video_that_is_cut_off_gives_what_it_has_and_says_so(tmp_path: Path, suffix: str, codec: str) -> None:
    content = write_clip(tmp_path / f"whole{suffix}", frames=60, rate=10, codec=codec).read_bytes()
    path = tmp_path / f"cut{suffix}"
    path.write_bytes(content[: len(content) // 2])
    with VideoReader(path) as video:
        read = len(list(video))
        assert 10 < read < 50
        assert video.damage == (
            f"{path}: only {read} of 60 frames could be read: the video is damaged or cut off; what was read is kept"
        )


def test_a_video_damaged_in_the_middle_says_so(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", frames=60, rate=10)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : 2 * len(content) // 3] = np.random.default_rng(0).bytes(len(content) // 3)
    path.write_bytes(content)
    with VideoReader(path) as video:
        assert 0 < len(list(video)) < 45
        assert "clip.avi: only" in str(video.damage)


def test_a_rate_that_cannot_be_is_not_believed(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.webm", frames=3, rate=1000, codec="VP80")
    with VideoReader(path) as video:
        assert (video.rate, video.frames_announced) == (30, None)
        assert len(list(video)) == 3
        assert video.damage is None


@pytest.mark.parametrize("rate", [0.0123, 23.976, 29.97, 30, 59.94, 65.5371, 119.9347, 239.8765])
def test_what_is_written_has_its_rate_and_every_frame(tmp_path: Path, rate: float, parts: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", rate, (64, 96), parts) as writer:
        for level in (0, 100, 200):
            writer.write(np.full((64, 96, 3), level, np.uint8))
    assert names_in(tmp_path) == ["out.mp4"]
    with VideoReader(tmp_path / "out.mp4") as video:
        assert video.rate == pytest.approx(rate, rel=0.01 if rate > 0.1 else 0.2)
        means = [frame.image.mean() for frame in video]
    np.testing.assert_allclose(means, [0, 100, 200], atol=4)


@pytest.mark.parametrize(
    ("size", "written"),
    [
        ((1, 1), (2, 2)),
        ((63, 95), (64, 96)),
        ((4, 9000), (4, 8190)),
        ((20_000, 3), (8190, 2)),
        ((1, 20_000), (2, 8190)),
    ],
)
def test_sizes_that_the_codec_lacks_become_the_next_one(tmp_path: Path, size, written, parts: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 25, size, parts) as writer:
        writer.write(np.full((*size, 3), 90, np.uint8))
    (frame,) = frames_of(tmp_path / "out.mp4")
    assert frame.image.shape[:2] == written
    # The line that an odd side grows by repeats the last one.
    np.testing.assert_allclose(frame.image, 90, atol=4)


def test_a_frame_of_another_size_is_scaled(tmp_path: Path, parts: Path) -> None:
    shapes = ((64, 96), (32, 48), (100, 300))
    write_all(tmp_path / "out.mp4", [np.full((*shape, 3), 90, np.uint8) for shape in shapes], parts)
    assert [frame.image.shape[:2] for frame in frames_of(tmp_path / "out.mp4")] == [(64, 96)] * 3


def test_an_error_leaves_the_earlier_video_and_no_part(tmp_path: Path, parts: Path) -> None:
    earlier = write_clip(tmp_path / "out.mp4", frames=2).read_bytes()
    images = [np.zeros((64, 96, 3), np.uint8), None]
    with pytest.raises(AttributeError):
        write_all(tmp_path / "out.mp4", images, parts)
    assert names_in(tmp_path) == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == earlier


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """A disk that is full, as a process sees it."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_noticed(tmp_path: Path, parts: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 64, 96, 3), dtype=np.uint8)
    with files_of_at_most(20_000), pytest.raises(OSError, match=r"out\.mp4: the video could not be written whole"):
        write_all(tmp_path / "out.mp4", noise, parts)
    assert names_in(tmp_path) == []


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"out\.mp4: no video of 96 x 64 pixels can be written there"):
        VideoWriter(tmp_path / "out.mp4", 25, (64, 96), tmp_path / "gone")


def test_memory_does_not_grow_with_the_video(tmp_path: Path, parts: Path) -> None:
    path = write_clip(tmp_path / "clip.avi", frames=100, size=(240, 320))
    tracemalloc.start()
    try:
        with VideoReader(path) as video, VideoWriter(tmp_path / "out.mp4", video.rate, (240, 320), parts) as writer:
            for frame in video:
                writer.write(frame.image)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    one = 240 * 320 * 3
    assert one < peak < 5 * one


def test_clips_are_what_these_tests_take_them_for(tmp_path: Path) -> None:
    content = turned(write_clip(tmp_path / "clip.mp4", frames=1), 90).read_bytes()
    matrix = content.index(b"tkhd") + 44
    assert struct.unpack(">9i", content[matrix : matrix + 36])[:5] == (0, 1 << 16, 0, -(1 << 16), 0)
    assert cv2.VideoCapture(str(tmp_path / "clip.mp4")).get(cv2.CAP_PROP_ORIENTATION_META) == 90


@pytest.mark.parametrize("name", ["/dev/zero", "pipe.mp4"])
def test_a_pipe_or_a_device_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(VideoError, match=r"cannot be read: a .* not a regular file"):
        VideoReader(tmp_path / name)
