"""Where boxes and their labels go on a picture of which only the shape is known: the page decides how wide it is."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.report.lettering import letters, text_width
from pipeline.report.outcomes import DrawnBox, Kind

TEXT = 11
"""Height of a label's letters in pixels of a screen, however small the picture is shown."""
LABEL_HEIGHT = 14
MARGIN = 3
"""Pixels beside a label's text."""
GAP = 10
"""Pixels between two columns."""
PAGE = 1072
"""Pixels that columns share on a screen of middling width; on a wider one there is more room than labels need."""
_MOST_LETTERS = 24
# Fallback fonts are narrower than DejaVu's bold letters; a page sets the text into the width that is given here.
_NARROWER = 0.88

_Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class Label:
    """A filled label. ``x`` and ``y`` (0 to 1) are a place on the picture; the others are pixels from there.

    One that ``is_crowded`` out would cover another label while pictures stand side by side.
    """

    text: str
    x: float
    y: float
    left: float
    top: float
    width: float
    is_crowded: bool


@dataclass(frozen=True)
class Mark:
    """One box: its left upper corner and its size, as shares (0 to 1) of the picture's; ``title`` says it in words."""

    kind: Kind
    x: float
    y: float
    width: float
    height: float
    title: str
    label: Label | None


def shown_width(columns: int) -> float:
    """How many pixels of a screen a picture is wide at least, with so many side by side."""
    return (PAGE - GAP * (columns - 1)) / columns


def marks(boxes: Sequence[DrawnBox], size: tuple[int, int], columns: int, *, with_names: bool = True) -> list[Mark]:
    """Lay boxes out on a picture; the ones that come later lie on top.

    A label goes to the first of six places at its box where it covers neither a label nor another box, else to the
    first one where it covers no label; without one of these it is crowded out. The later ones, of higher scores,
    choose first.

    Args:
        boxes: in pixels of the picture.
        size: width and height of the picture.
        columns: how many pictures stand side by side.
        with_names: write class names; scores are written always.
    """
    scale = shown_width(columns) / size[0]
    room = (size[0] * scale, size[1] * scale)
    taken: list[_Rectangle] = []
    frames = [_scaled(box.corners, scale) for box in boxes]
    labels = [
        _label(boxes[place], frames[place], frames[:place] + frames[place + 1 :], room, taken, with_names)
        for place in reversed(range(len(boxes)))
    ]
    return [_mark(box, size, label) for box, label in zip(boxes, reversed(labels), strict=True)]


def _scaled(corners: _Rectangle, scale: float) -> _Rectangle:
    x1, y1, x2, y2 = corners
    return x1 * scale, y1 * scale, x2 * scale, y2 * scale


def _mark(box: DrawnBox, size: tuple[int, int], label: Label | None) -> Mark:
    x1, y1, x2, y2 = box.corners
    score = "" if box.score is None else f", {box.score:.2f}"
    place = (x1 / size[0], y1 / size[1], max(0.0, x2 - x1) / size[0], max(0.0, y2 - y1) / size[1])
    return Mark(box.kind, *place, f"{box.kind}: {letters(box.name)}{score}", label)


def _label(
    box: DrawnBox,
    frame: _Rectangle,
    others: list[_Rectangle],
    room: tuple[float, float],
    taken: list[_Rectangle],
    with_names: bool,
) -> Label | None:
    text = _text(box, with_names)
    if not text:
        return None
    width = min(_width(text) + 2 * MARGIN, room[0])
    places = _places(frame, width, room)
    free = [place for place in places if not _meets(place, width, taken)]
    best = [place for place in free if not _meets(place, width, others)]
    x, y = [*best, *free, *places][0]
    if free:
        taken.append((x, y, x + width, y + LABEL_HEIGHT))
    anchor_x, left = _anchored(x, width, (frame[0], frame[2]), room[0])
    anchor_y, top = _anchored(y, LABEL_HEIGHT, (frame[1], frame[3]), room[1])
    return Label(text, anchor_x, anchor_y, left, top, round(width, 1), is_crowded=not free)


def _anchored(start: float, length: float, sides: tuple[float, float], room: float) -> tuple[float, float]:
    """A label's start as a share of ``room`` and pixels from there.

    The share is that of the nearest side of its box, or of the picture, so that it stays there at any width.
    """
    anchor = min((*sides, 0.0, room), key=lambda side: min(abs(start - side), abs(start + length - side)))
    return anchor / room, round(start - anchor, 1)


def _places(frame: _Rectangle, width: float, room: tuple[float, float]) -> list[tuple[float, float]]:
    """Above, below and inside, at the left edge, the same at the right one; last those moved to be on the picture."""
    x1, y1, x2, y2 = frame
    meant = [(x, y) for x in (x1, x2 - width) for y in (y1 - LABEL_HEIGHT, y2, y1)]
    on_picture = [(_within(x, room[0] - width), _within(y, room[1] - LABEL_HEIGHT)) for x, y in meant]
    pairs = sorted(zip(meant, on_picture, strict=True), key=lambda pair: pair[0] != pair[1])
    return [place for _, place in pairs]


def _within(start: float, most: float) -> float:
    return max(0.0, min(start, most))


def _meets(place: tuple[float, float], width: float, taken: Sequence[_Rectangle]) -> bool:
    x, y = place
    return any(x < x2 and x1 < x + width and y < y2 and y1 < y + LABEL_HEIGHT for x1, y1, x2, y2 in taken)


def _text(box: DrawnBox, with_names: bool) -> str:
    name = "crowd" if box.kind == "crowd" else letters(box.name) if with_names else ""
    if len(name) > _MOST_LETTERS:
        name = name[: _MOST_LETTERS - 1] + "…"
    return " ".join([*([name] if name else []), *([] if box.score is None else [f"{box.score:.2f}"])])


def _width(text: str) -> float:
    """Pixels of the text in bold letters; those of East Asia are as wide as they are high."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    others = "".join(letter for letter in text if unicodedata.east_asian_width(letter) not in "WF")
    return wide * TEXT + _NARROWER * text_width(others, TEXT)
