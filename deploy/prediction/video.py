"""Video files: decoded frame by frame, and written frame by frame.

Both sides are the FFmpeg that comes with OpenCV: it decodes whatever is usual (H.264, HEVC, AV1, VP9, MPEG-4, Motion
JPEG); what every build of it encodes, and fast, is MPEG-4 Part 2. Nothing here holds more than one frame.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from deploy.runtime.errors import VideoError
from deploy.runtime.images import Image
from deploy.runtime.regular_files import open_regular

_CODEC = "mp4v"
_LONGEST_SIDE = 8190  # MPEG-4 Part 2 has 13 bits for a side, and the chroma planes take even sides only
_USUAL_RATE = 30.0
_HIGHEST_RATE = 480.0


@dataclass(frozen=True)
class Frame:
    """One frame: its number in the video, counted from 0, its time in seconds, and uint8 ``[H, W, 3]`` in BGR order."""

    number: int
    timestamp: float
    image: Image


class VideoReader:
    """The frames of a video file, in order, turned upright as its rotation metadata says.

    ``rate`` is frames a second (30 where the file names none that can be); the times of the frames are their own, also
    where the rate varies. ``frames_announced`` is what the file's header says or implies, None where it says nothing.

    Args:
        path: the file.
        every: 1 gives every frame, N only the frames 0, N, 2N, ...

    Raises:
        VideoError: the file is missing, a pipe or device, empty, damaged or no video. Iterating raises it where there
            is no frame.
    """

    def __init__(self, path: Path | str, every: int = 1) -> None:
        if every < 1:
            raise ValueError(f"every must be 1 or more, got {every}")
        self.path = Path(path)
        self.every = every
        self.frames_read = 0
        self._capture = _open(self.path)
        rate, announced = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        plausible = 0 < rate <= _HIGHEST_RATE
        self.rate: float = rate if plausible else _USUAL_RATE
        # Where a header holds no number of frames, OpenCV multiplies duration and rate.
        self.frames_announced = int(announced) if plausible and 0 < announced < math.inf else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        timestamp = -1.0
        while self._capture.grab():
            number, self.frames_read = self.frames_read, self.frames_read + 1
            told = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            # Some streams carry no time for their last frames.
            timestamp = told if told > timestamp else timestamp + 1 / self.rate
            if number % self.every:
                continue
            decoded, image = self._capture.retrieve()
            if not decoded:
                break
            yield Frame(number, timestamp, np.asarray(image, np.uint8))
        if not self.frames_read:
            raise VideoError(f"{self.path}: no frame can be read (empty, damaged or cut off)")

    @property
    def damage(self) -> str | None:
        """What is wrong with a video that was read to its end; None for a sound one.

        FFmpeg leaves out frames that it cannot decode and says nothing. They are missed here by their number. Up to one
        second may lack without a word: headers count frames that an edit has cut, and a duration may be the sound's.
        """
        missing = (self.frames_announced or 0) - self.frames_read
        if missing <= max(1.0, self.rate):
            return None
        return (
            f"{self.path}: only {self.frames_read} of {self.frames_announced} frames could be read: the video is "
            "damaged or cut off; what was read is kept"
        )


class VideoWriter:
    """An .mp4 file (MPEG-4 Part 2) that gets its name only when the block ends without an error, and is whole then.

    Frames longer than 8190 pixels are shrunk to that; an odd side grows by one repeated line, since the codec takes
    even ones.

    Args:
        path: the file to be.
        rate: frames a second.
        size: height and width of the frames, in pixels; a frame of another size is scaled to it.
        parts: a folder of this process's own on the same file system, for the file until it is whole.

    Raises:
        OSError: the file cannot be written, or (at the end) was not written to its end.
    """

    def __init__(self, path: Path, rate: float, size: tuple[int, int], parts: Path) -> None:
        self._path = path
        self._part = parts / "video.mp4"
        factor = min(1.0, _LONGEST_SIDE / max(size))
        self._height, self._width = (max(1, round(side * factor)) for side in size)
        self._frames = 0
        even = (self._width + self._width % 2, self._height + self._height % 2)
        _require_utf8(self._part, OSError)
        code = cv2.VideoWriter.fourcc(*_CODEC)
        self._writer = cv2.VideoWriter(str(self._part.absolute()), cv2.CAP_FFMPEG, code, _encodable(rate), even)
        if not self._writer.isOpened():
            self._part.unlink(missing_ok=True)
            raise OSError(f"{path}: no video of {even[0]} x {even[1]} pixels can be written there")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._writer.release()
        try:
            if kind is None:
                self._check()
                self._part.replace(self._path)
        finally:
            self._part.unlink(missing_ok=True)

    def write(self, image: Image) -> None:
        """Add a frame, uint8 ``[H, W, 3]`` in BGR order."""
        if image.shape[:2] != (self._height, self._width):
            resized = cv2.resize(image, (self._width, self._height), interpolation=cv2.INTER_AREA)
            image = np.asarray(resized, np.uint8)
        if self._height % 2 or self._width % 2:
            grown = cv2.copyMakeBorder(image, 0, self._height % 2, 0, self._width % 2, cv2.BORDER_REPLICATE)
            image = np.asarray(grown, np.uint8)
        self._writer.write(image)
        self._frames += 1

    def _check(self) -> None:
        """OpenCV's writer does not say that a disk is full: the file is asked."""
        capture = cv2.VideoCapture(str(self._part.absolute()), cv2.CAP_FFMPEG)
        written = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
        capture.release()
        if written != self._frames:
            raise OSError(f"{self._path}: the video could not be written whole (is the disk full?)")


def _open(path: Path) -> cv2.VideoCapture:
    try:
        with open_regular(path) as stream:
            if not stream.read(1):
                raise VideoError(f"{path}: the file is empty")
    except OSError as error:
        raise VideoError(f"{path}: cannot be read: {error.strerror or error}") from error
    _require_utf8(path, VideoError)
    # An absolute path, since FFmpeg takes what stands before a colon for a protocol.
    capture = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise VideoError(f"{path}: not a video that can be decoded (damaged, cut off, or another kind of file)")
    return capture


def _require_utf8(path: Path, error: type[Exception]) -> None:
    """OpenCV 5.0 ends the process with a segmentation fault on a name that is not UTF-8."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise error(f"{shown}: OpenCV opens no video whose path is not UTF-8; rename it") from None


def _encodable(rate: float) -> float:
    """The nearest rate that MPEG-4 can state: a fraction of numbers up to 65535, of which OpenCV takes decimal ones."""
    return round(max(rate, 0.01), 3 if rate < 65 else 2)
