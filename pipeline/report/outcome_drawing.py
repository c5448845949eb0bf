"""Boxes with class names and scores drawn onto an image."""

import io
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from deploy.runtime.images import Image as Pixels
from pipeline.report.outcomes import DrawnBox, Kind

CELL = 480
_MOST_ENLARGED = 3.0
_SMALLEST_TEXT, _LARGEST_TEXT = 15, 21

# Okabe and Ito's colours; "missed" is dashed as well, so that no meaning hangs on colour alone.
COLORS: dict[Kind, str] = {
    "truth": "#FFFFFF",
    "crowd": "#999999",
    "right": "#56B4E9",
    "wrong": "#E8601C",
    "missed": "#F0E442",
}
_INK = "#10151b"


def draw(
    pixels: Pixels, boxes: Sequence[DrawnBox], *, with_names: bool = True, text_for: Sequence[DrawnBox] | None = None
) -> Image.Image:
    """Draw boxes onto an image whose longer side becomes 480 px, or three times its own where that is less.

    Args:
        pixels: uint8 ``[H, W, 3]``, BGR.
        boxes: in pixels of ``pixels``; later ones are drawn on top.
        with_names: write class names; scores are written always.
        text_for: boxes that the size of the text is chosen for, so that drawings of one image are lettered alike;
            ``boxes`` themselves where none are given.
    """
    height, width = pixels.shape[:2]
    scale = min(CELL / max(height, width), _MOST_ENLARGED)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1])).resize(size, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(picture)
    font = _font(_text_size(text_for or boxes, scale))
    scaled = [(box, tuple(value * scale for value in box.corners)) for box in boxes]
    for box, corners in scaled:
        _frame(pen, corners, COLORS[box.kind], dashed=box.kind == "missed")
    for box, corners in scaled:
        if text := _label(box, with_names):
            _tag(pen, corners, text, COLORS[box.kind], font, size)
    return picture


def to_jpeg(picture: Image.Image) -> bytes:
    """JPEG with full colour resolution, so that thin coloured lines stay sharp."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=86, subsampling=0, optimize=True)
    return stream.getvalue()


def sheet(rows: Sequence[Sequence[Image.Image]], titles: Sequence[str]) -> Image.Image:
    """Rows of pictures under column titles on white, for readers of the Markdown report."""
    gap, head = 8, 34
    heights = [max(picture.height for picture in pictures) for pictures in rows]
    columns = [max(pictures[index].width for pictures in rows) for index in range(len(titles))]
    page = Image.new("RGB", (sum(columns) + gap * (len(columns) - 1), sum(heights) + gap * len(rows) + head), "white")
    pen = ImageDraw.Draw(page)
    lefts = [sum(columns[:index]) + gap * index for index in range(len(columns))]
    for left, title in zip(lefts, titles, strict=True):
        pen.text((left + 2, head / 2), title, fill=_INK, font=_font(20), anchor="lm")
    top = head
    for pictures, height in zip(rows, heights, strict=True):
        for left, picture in zip(lefts, pictures, strict=True):
            page.paste(picture, (left, top))
        top += height + gap
    return page


def _text_size(boxes: Sequence[DrawnBox], scale: float) -> int:
    """Text grows with the boxes, so that small objects are not buried under their labels."""
    sides = [min(x2 - x1, y2 - y1) * scale for x1, y1, x2, y2 in (box.corners for box in boxes)]
    median = float(np.median(sides)) if sides else _LARGEST_TEXT
    return round(min(max(0.3 * median, _SMALLEST_TEXT), _LARGEST_TEXT))


def _label(box: DrawnBox, with_names: bool) -> str:
    name = "crowd" if box.kind == "crowd" else box.name if with_names else ""
    # Control characters have no picture, and the font engine refuses them.
    words = "".join(letter if letter.isprintable() else " " for letter in name).split()
    return " ".join([*words, *([] if box.score is None else [f"{box.score:.2f}"])])


def _frame(pen: ImageDraw.ImageDraw, corners: Sequence[float], color: str, dashed: bool) -> None:
    x1, y1, x2, y2 = _ordered(corners)
    pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=_INK, width=1)
    if not dashed:
        pen.rectangle((x1, y1, x2, y2), outline=color, width=3)
        return
    dash, period = 9, 15
    for y in (y1, y2 - 2):
        for x in np.arange(x1, x2, period):
            pen.line((x, y, min(x + dash, x2), y), fill=color, width=3)
    for x in (x1, x2 - 2):
        for y in np.arange(y1, y2, period):
            pen.line((x, y, x, min(y + dash, y2)), fill=color, width=3)


def _tag(
    pen: ImageDraw.ImageDraw,
    corners: Sequence[float],
    text: str,
    color: str,
    font: ImageFont.FreeTypeFont,
    size: tuple[int, int],
) -> None:
    """A filled label above the box, or inside its upper edge where there is no room above."""
    x1, y1, _, _ = _ordered(corners)
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    width, height = right - left + 6, bottom - top + 5
    x = min(max(0.0, x1 - 1), max(0.0, size[0] - width))
    y = y1 - height if y1 >= height else max(0.0, y1)
    pen.rectangle((x, y, x + width, y + height), fill=color)
    pen.text((x + 3 - left, y + 2 - top), text, fill=_INK, font=font)


def _ordered(corners: Sequence[float]) -> tuple[float, float, float, float]:
    """Corners with at least one pixel between them; a drawing routine refuses less."""
    x1, y1, x2, y2 = corners
    return x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib carries: the same letters on every machine."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"), size)
