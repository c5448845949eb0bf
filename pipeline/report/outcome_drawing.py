"""Boxes with class names and scores drawn onto an image, for where a page cannot draw them itself."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from deploy.runtime.images import Image as Pixels
from pipeline.report.lettering import font
from pipeline.report.marks import LABEL_HEIGHT, MARGIN, TEXT, Label, Mark, shown_width
from pipeline.report.outcomes import Kind

CELL = 360
"""Pixels that a picture of the sheet is wide."""
PHOTO = 640
"""Pixels of the longer side of a photo in the page, at most."""

# Okabe and Ito's colours; "missed" is dashed as well, so that no meaning hangs on colour alone.
COLORS: dict[Kind, str] = {
    "truth": "#FFFFFF",
    "crowd": "#999999",
    "right": "#56B4E9",
    "wrong": "#E8601C",
    "missed": "#F0E442",
}
INK = "#10151b"


def photo(pixels: Pixels) -> Image.Image:
    """The picture of uint8 ``[H, W, 3]``, BGR, with a longer side of 640 px at most; a smaller one as it is."""
    height, width = pixels.shape[:2]
    picture = Image.fromarray(np.ascontiguousarray(pixels[:, :, ::-1]))
    scale = PHOTO / max(height, width)
    return picture if scale >= 1 else picture.resize(_scaled(picture.size, scale), Image.Resampling.LANCZOS)


def draw(picture: Image.Image, marks: Sequence[Mark], columns: int) -> Image.Image:
    """Draw marks onto a copy of the picture that is 360 px wide, or less where it would be more than 720 px high.

    Labels are so large that they can be read where ``columns`` of these stand side by side in a page; those that are
    crowded out are not drawn.
    """
    scale = min(CELL / picture.width, 2 * CELL / picture.height)
    drawn = picture.convert("RGB").resize(_scaled(picture.size, scale), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(drawn)
    for mark in marks:
        _frame(pen, mark, drawn.size, max(2, round(1.5 * CELL / shown_width(columns))))
    for mark in marks:
        if mark.label and not mark.label.is_crowded:
            _tag(pen, mark.label, COLORS[mark.kind], drawn.size, drawn.width / shown_width(columns))
    return drawn


def to_jpeg(picture: Image.Image, *, with_lines: bool = False) -> bytes:
    """JPEG; with full colour resolution where it has thin coloured lines, which stay sharp then."""
    stream = io.BytesIO()
    picture.save(
        stream, "JPEG", quality=82, subsampling="4:4:4" if with_lines else "4:2:0", optimize=True, progressive=True
    )
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
        pen.text((left + 2, head / 2), title, fill=INK, font=font(22), anchor="lm")
    top = head
    for pictures, height in zip(rows, heights, strict=True):
        for left, picture in zip(lefts, pictures, strict=True):
            page.paste(picture, (left, top))
        top += height + gap
    return page


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _frame(pen: ImageDraw.ImageDraw, mark: Mark, size: tuple[int, int], thickness: int) -> None:
    x1, y1 = mark.x * size[0], mark.y * size[1]
    # A drawing routine refuses less than a pixel.
    x2, y2 = x1 + max(1.0, mark.width * size[0]), y1 + max(1.0, mark.height * size[1])
    color = COLORS[mark.kind]
    pen.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=INK, width=1)
    if mark.kind != "missed":
        pen.rectangle((x1, y1, x2, y2), outline=color, width=thickness)
        return
    dash, period = 3 * thickness, 5 * thickness
    for y in (y1, y2 - thickness + 1):
        for x in np.arange(x1, x2, period):
            pen.line((x, y, min(x + dash, x2), y), fill=color, width=thickness)
    for x in (x1, x2 - thickness + 1):
        for y in np.arange(y1, y2, period):
            pen.line((x, y, x, min(y + dash, y2)), fill=color, width=thickness)


def _tag(pen: ImageDraw.ImageDraw, label: Label, color: str, size: tuple[int, int], scale: float) -> None:
    """A filled label, whose letters are made so large that they fill it."""
    x, y = label.x * size[0] + label.left * scale, label.y * size[1] + label.top * scale
    width, height = label.width * scale, LABEL_HEIGHT * scale
    pen.rectangle((x, y, x + width, y + height), fill=color)
    room = (label.width - 2 * MARGIN) * scale
    letters = font(max(1, round(TEXT * scale)))
    letters = font(max(1, int(letters.size * min(1.0, room / letters.getlength(label.text)))))
    pen.text((x + width / 2, y + height / 2), label.text, fill=INK, font=letters, anchor="mm")
