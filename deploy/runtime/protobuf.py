"""Walk the fields of protocol buffers in a file, without reading what they hold."""

from collections.abc import Iterator
from typing import BinaryIO

_VARINT, _FIXED64, BYTES, _FIXED32 = 0, 1, 2, 5


class Malformed(Exception):
    """The content is no such message; the message says where."""


def fields(stream: BinaryIO, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (field number, where it begins, length, value), the stream at the field's content, and go on behind it.

    Of a field that is a number there is the value, and the length is 0; of all others the value is 0.

    Raises:
        Malformed: what stands there is no message that ends at ``end``.
    """
    while (position := stream.tell()) < end:
        tag, value = varint(stream), 0
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, length = varint(stream), 0
        elif wire == BYTES:
            length = varint(stream)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise Malformed(f"unknown field type {wire} at byte {position}")
        start = stream.tell()
        if field == 0 or start + length > end:
            raise Malformed(
                f"a field at byte {position} goes beyond the end" if field else f"field 0 at byte {position}"
            )
        yield field, position, length if wire == BYTES else 0, value
        stream.seek(start + length)


def varint(stream: BinaryIO) -> int:
    """Read one number; raises :class:`Malformed`."""
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise Malformed("it ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise Malformed("a number of more than 64 bits")
