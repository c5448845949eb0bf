"""How numbers are written in the report: one rule per quantity, in one place.

Every function takes ``None`` (or ``nan``) for a number that does not exist and returns :data:`MISSING`.
"""

import math
from collections.abc import Callable

MISSING = "–"
MINUS = "−"
_GAP = "\u00a0"  # keeps a number and its unit on one line


def points(value: float | None) -> str:
    """COCO points (0 to 100) with one decimal: ``58.2``."""
    return _fixed(value, 1)


def hundredths(value: float | None) -> str:
    """COCO points with two decimals, for differences that should be near 0: ``0.04``."""
    return _fixed(value, 2)


def signed_points(value: float | None) -> str:
    """A difference in COCO points with its sign: ``+1.9``, ``−0.4``, ``0.0``."""
    text = _fixed(value, 1)
    return f"+{text}" if text != MISSING and float(text.replace(MINUS, "-").replace(",", "")) > 0 else text


def milliseconds(value: float | None) -> str:
    """Milliseconds: two decimals below 10, one below 1000, none above."""
    return _fixed(value, 2 if _magnitude(value) < 10 else 1 if _magnitude(value) < 1000 else 0)


def rate(value: float | None) -> str:
    """Images per second: one decimal below 100, none above."""
    return _fixed(value, 1 if _magnitude(value) < 100 else 0)


def megabytes(value: float | None) -> str:
    """Bytes as MB (10^6 bytes) without the unit: two decimals below 10, one below 100, none above."""
    scaled = None if value is None else value / 1e6
    return _fixed(scaled, 2 if _magnitude(scaled) < 10 else 1 if _magnitude(scaled) < 100 else 0)


def gigabytes(value: float | None) -> str:
    """Bytes as GB (10^9 bytes) with the unit: ``8.2 GB``."""
    text = _fixed(None if value is None else value / 1e9, 1)
    return text if text == MISSING else f"{text} GB"


def millions(value: float | None) -> str:
    """A count in millions with two decimals: ``1.52``."""
    return _fixed(None if value is None else value / 1e6, 2)


def giga(value: float | None) -> str:
    """Floating-point operations in units of 10^9 with two decimals: ``3.42``."""
    return _fixed(None if value is None else value / 1e9, 2)


def times(value: float | None) -> str:
    """A ratio: ``2.7×``; two decimals below 2, where the second one matters, none from 20 on."""
    text = _fixed(value, 2 if _magnitude(value) < 2 else 1 if _magnitude(value) < 20 else 0)
    return text if text == MISSING else f"{text}×"


def percent(value: float | None) -> str:
    """A fraction (0 to 1) as whole per cent: ``83 %``."""
    text = _fixed(None if value is None else value * 100, 0)
    return text if text == MISSING else f"{text}{_GAP}%"


def exact_percent(value: float | None) -> str:
    """A fraction that is close to 1, as per cent with two decimals: ``99.87 %``."""
    text = _fixed(None if value is None else value * 100, 2)
    return text if text == MISSING else f"{text}{_GAP}%"


def small(value: float | None) -> str:
    """A small magnitude with three significant digits: ``0.00421``, ``3.1e-06``."""
    return MISSING if value is None or _absent(value) else f"{value:.3g}"


def count(value: float | None) -> str:
    """A whole number with thousands separated: ``1,797``."""
    return _fixed(value, 0)


def duration(seconds: float | None) -> str:
    """Seconds as the two largest units that apply: ``42 s``, ``6 min 12 s``, ``2 h 5 min``."""
    if seconds is None or _absent(seconds):
        return MISSING
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def span(low: float | None, high: float | None, write: Callable[[float | None], str] = points) -> str:
    """An interval in COCO points, each end by ``write``: ``57.1 to 59.4``; never broken over two lines."""
    if _absent(low) or _absent(high):
        return MISSING
    return _GAP.join((write(low), "to", write(high)))


def percentiles(*values: float | None) -> str:
    """Milliseconds side by side: ``6.20 / 6.94 / 8.74``; never broken over two lines."""
    return f"{_GAP}/{_GAP}".join(map(milliseconds, values))


def short_hash(sha256: str) -> str:
    """The first 12 digits of a hash; enough to recognise a file."""
    return sha256[:12] or MISSING


def _absent(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def _magnitude(value: float | None) -> float:
    return 0.0 if value is None else abs(value)


def _fixed(value: float | None, decimals: int) -> str:
    if _absent(value):
        return MISSING
    text = f"{value:,.{decimals}f}"
    is_zero = not text.strip("-0.,")
    return text.lstrip("-") if is_zero else text.replace("-", MINUS)
