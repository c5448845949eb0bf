"""Read the metadata of an ONNX file without the onnx package and without loading its weights.

An ONNX file is one protocol-buffers message, ``ModelProto`` (field numbers: ``onnx/onnx.proto``). Only the outermost
fields are walked; the graph, which holds the weights, is skipped.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from deploy.runtime.errors import ArtefactError

_GRAPH, _METADATA = 7, 14
_KEY, _VALUE = 1, 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_ENTRY = 1 << 24


class _Malformed(Exception):
    pass


def read_metadata(path: Path) -> dict[str, str]:
    """Return ``metadata_props`` of an ONNX file.

    Raises:
        ArtefactError: the file is missing, cut off, or no ONNX file; the message names it and the cure.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            return _metadata(stream, size)
    except OSError as error:
        raise ArtefactError(
            f"{path}: cannot be read: {error.strerror or error}; export it with `python -m stages.export`"
        ) from error
    except _Malformed as error:
        raise ArtefactError(
            f"{path}: not a complete ONNX file ({error}); copy it again, or export it with `python -m stages.export`"
        ) from error


def _metadata(stream: BinaryIO, size: int) -> dict[str, str]:
    metadata: dict[str, str] = {}
    has_graph = False
    for field, length in _fields(stream, size):
        if field == _GRAPH:
            has_graph = True
        if field == _METADATA:
            key, value = _entry(stream, length)
            metadata[key] = value
    if not has_graph:
        raise _Malformed("it holds no graph")
    return metadata


def _entry(stream: BinaryIO, length: int) -> tuple[str, str]:
    if length > _MAX_ENTRY:
        raise _Malformed(f"a metadata entry of {length} bytes")
    parts = {_KEY: b"", _VALUE: b""}
    for field, part in _fields(stream, stream.tell() + length):
        parts[field] = stream.read(part)
    try:
        return parts[_KEY].decode(), parts[_VALUE].decode()
    except UnicodeDecodeError as error:
        raise _Malformed("metadata that is not text") from error


def _fields(stream: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """Yield (field number, length) with the stream at the field's content, and go on behind it."""
    while (position := stream.tell()) < end:
        tag = _varint(stream)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            _varint(stream)
            length = 0
        elif wire == _BYTES:
            length = _varint(stream)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise _Malformed(f"unknown field type {wire} at byte {position}")
        start = stream.tell()
        if field == 0 or start + length > end:
            raise _Malformed(
                f"a field at byte {position} goes beyond the end" if field else f"field 0 at byte {position}"
            )
        yield field, length if wire == _BYTES else 0
        stream.seek(start + length)


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise _Malformed("it ends within a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise _Malformed("a number of more than 64 bits")
