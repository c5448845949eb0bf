"""What goes to a terminal or a log: names and messages from outside cannot move its cursor, colour it or turn it round.

A file name may hold any byte but two, a class name any character, and the message of a library whatever it read.
"""

import logging
import re
import sys
import traceback
from types import TracebackType

# Control characters (C0 without tab and line feed, DEL, C1), marks, embeddings, overrides and isolates of direction,
# separators of lines and paragraphs, and the surrogates that stand for bytes which are no UTF-8.
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""The text with every character that acts on a terminal written as its escape: ``\x1b``.

    Line feeds and tabs stay: messages have several lines.
    """
    return _ACTING.sub(lambda found: _escape(ord(found[0])), text)


def in_one_line(text: str) -> str:
    r"""The same for a name: its line feeds and tabs are written as ``\n`` and ``\t`` too."""
    return visible(text).replace("\n", r"\n").replace("\t", r"\t")


class VisibleFormatter(logging.Formatter):
    """A formatter whose whole output, tracebacks included, went through :func:`visible`."""

    def format(self, record: logging.LogRecord) -> str:
        """See the base class."""
        return visible(super().format(record))


def show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """As ``sys.excepthook``: the usual traceback, through :func:`visible`."""
    sys.stderr.write(visible("".join(traceback.format_exception(kind, error, trace))))


def _escape(code: int) -> str:
    # How os.fsdecode keeps a byte that is no UTF-8.
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
