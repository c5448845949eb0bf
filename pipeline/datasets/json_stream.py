"""A json file in pieces: of a large object only one value, or one element of a list, is in memory at a time.

Every value goes through Python's own decoder, as the whole does in :func:`pipeline.datasets.json_files.read_json`. What
is wrong with a file, that function says: here it is only noticed.
"""

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

from deploy.runtime.regular_files import open_regular
from pipeline.datasets.json_files import RepeatedKeyError, without_repetition

CHUNK = 1 << 18
"""So many characters are read at once, more where a value is longer."""
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODE = json.JSONDecoder(object_pairs_hook=without_repetition).raw_decode


class Taker(Protocol):
    """Takes the elements of a list one by one."""

    def append(self, element: Any, /) -> None: ...


class NotInPieces(ValueError):
    """The file is no json object, or one that has to be read as a whole."""


def read_in_pieces(path: Path, lists: Mapping[str, Taker]) -> dict[str, Any]:
    """Go through a json object in UTF-8, UTF-16 or UTF-32 and return its values.

    Args:
        path: the file.
        lists: where the value of such a key is a list, this gets its elements in order and is the value. When an error
            follows, it has got those before.

    Raises:
        OSError: the file cannot be read, or is no regular file.
        NotInPieces: anything else.
    """
    with open_regular(path) as stream:
        encoding = json.detect_encoding(stream.read(4))
        stream.seek(0)
        with io.TextIOWrapper(stream, encoding, "surrogatepass", newline="") as text:
            try:
                return _object(_Window(text), lists)
            except (ValueError, RecursionError) as error:
                raise NotInPieces from error


def _object(window: "_Window", lists: Mapping[str, Taker]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    window.take("{")
    while True:
        key = window.value()
        if not isinstance(key, str) or key in found:
            raise NotInPieces
        window.take(":")
        if key in lists and window.sign() == "[":
            found[key] = lists[key]
            for element in window.elements():
                lists[key].append(element)
        else:
            found[key] = window.value()
        if window.take(",}") == "}":
            break
    if window.sign():
        raise NotInPieces
    return found


class _Window:
    """What of a text is in memory: from where we are to where it has been read."""

    def __init__(self, source: TextIO) -> None:
        self._source, self._text, self._at = source, "", 0

    def sign(self) -> str:
        """The next character that is no space, or nothing at the end of the text."""
        while (at := self._behind_space(self._at)) == len(self._text):
            if not self._grow():
                return ""
        self._at = at
        return self._text[at]

    def take(self, signs: str) -> str:
        """Go past the next sign, which must be one of ``signs``."""
        sign = self.sign()
        if not sign or sign not in signs:
            raise NotInPieces
        self._at += 1
        return sign

    def value(self) -> Any:
        """Go past the next value, to the sign behind it."""
        self.sign()
        while True:
            try:
                found, end = _DECODE(self._text, self._at)
            except RepeatedKeyError:
                raise
            except ValueError:
                end = len(self._text)
            # Only what follows it tells that a number is whole.
            end = self._behind_space(end)
            if end < len(self._text) and self._text[end] in ",:]}":
                self._at = end
                return found
            if not self._grow():
                raise NotInPieces

    def elements(self) -> Iterator[Any]:
        """Go past the next list, element by element."""
        self.take("[")
        if self.sign() == "]":
            self.take("]")
            return
        while True:
            yield self.value()
            sign = self._text[self._at]  # is one of those that follow a value
            self._at += 1
            if sign == "]":
                return
            if sign != ",":
                raise NotInPieces

    def _behind_space(self, at: int) -> int:
        if self._text[at : at + 1] > " ":
            return at  # as nearly always, and in half the time
        match = _SPACE.match(self._text, at)
        return match.end() if match else at

    def _grow(self) -> bool:
        # A value that does not end is tried again on twice as much each time, not on one chunk more.
        more = self._source.read(max(CHUNK, len(self._text) - self._at))
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)
