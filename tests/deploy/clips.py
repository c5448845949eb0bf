"""Small videos to test with."""

import struct
from pathlib import Path

import cv2
import numpy as np


def write_clip(
    path: Path, frames: int, rate: float = 10, codec: str = "", size: tuple[int, int] = (64, 96), corner: int = 16
) -> Path:
    """A video that starts black and gets brighter by 10 a frame, with a red rectangle, 3:2, in the upper left corner.

    Args:
        codec: four letters; what suits the suffix if left out.
        size: height and width in pixels.
        corner: height of the rectangle.
    """
    code = cv2.VideoWriter.fourcc(*(codec or {".avi": "MJPG"}.get(path.suffix, "mp4v")))
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, code, rate, size[::-1])
    assert writer.isOpened()
    for number in range(frames):
        image = np.full((*size, 3), 10 * number % 250, np.uint8)
        image[:corner, : corner * 3 // 2] = (0, 0, 255)
        writer.write(image)
    writer.release()
    return path


def turned(clip: Path, degrees: int) -> Path:
    """Give an .mp4 the metadata of a phone that was turned: the matrix of its track header, ISO/IEC 14496-12 8.3.2."""
    cosine, sine = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    one = 1 << 16
    content = bytearray(clip.read_bytes())
    # Behind the box type: version and flags 4, times, track and duration 20, reserved 8, layer to volume 8 bytes.
    start = content.index(b"tkhd") + 4 + 4 + 20 + 8 + 8
    matrix = (cosine * one, sine * one, 0, -sine * one, cosine * one, 0, 0, 0, 1 << 30)
    content[start : start + 36] = struct.pack(">9i", *matrix)
    clip.write_bytes(content)
    return clip
