"""Read the metadata of an ONNX file without the onnx package and without loading its weights; check its hash.

An ONNX file is one protocol-buffers message, ``ModelProto`` (field numbers: ``onnx/onnx.proto``). Only the outermost
fields are walked; the graph, which holds the weights, is skipped.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from deploy.runtime.errors import ArtefactError
from deploy.runtime.onnx_tensors import check_model
from deploy.runtime.protobuf import BYTES, Malformed, fields
from deploy.runtime.regular_files import open_regular

_GRAPH, _METADATA = 7, 14
_KEY, _VALUE = 1, 2
_MAX_ENTRY = 1 << 24
_LARGEST = (1 << 31) - 1
_CHUNK = 1 << 20
SEAL_KEY, HASH_KEY = "content_hash", "content_sha256"


def read_metadata(path: Path) -> dict[str, str]:
    """Return ``metadata_props`` of an ONNX file.

    Raises:
        ArtefactError: the file is missing, cut off, or no ONNX file; the message names it and the cure.
    """
    try:
        with open_regular(path) as stream:
            return _metadata(stream, os.fstat(stream.fileno()).st_size)
    except OSError as error:
        raise ArtefactError(
            f"{path}: cannot be read: {error.strerror or error}; export it with `python -m stages.export`"
        ) from error
    except Malformed as error:
        raise ArtefactError(
            f"{path}: not a complete ONNX file ({error}); copy it again, or export it with `python -m stages.export`"
        ) from error


def check_tensors(path: Path) -> None:
    """Hold what the tensors of an ONNX file say of themselves against what the file has of them.

    Raises:
        ArtefactError: one says it is larger than its data, lies in another file, or is sparse: a backend would take the
            memory first, or read the other file; the file is larger than protocol buffers can be; or as
            :func:`read_metadata`.
    """
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > _LARGEST:
                raise Malformed(f"{size:,} bytes; protocol buffers have {_LARGEST:,} at most")
            check_model(stream, size)
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read: {error.strerror or error}") from error
    except Malformed as error:
        raise ArtefactError(f"{path}: not an artefact that can be opened: {error}; export it again") from error


def sealed(content: bytes) -> bytes:
    """An ONNX file with its own SHA-256 in its metadata, which :func:`check_content` looks at.

    Protocol buffers take a repeated field wherever it stands, so that entries are appended and nothing else changes.
    The first one says that there is a hash: a file whose hash was damaged away is not taken for one without.
    """
    content += _encoded(SEAL_KEY, "sha256")
    return content + _encoded(HASH_KEY, hashlib.sha256(content).hexdigest())


def check_content(path: Path) -> None:
    """Hold an ONNX file against the hash that it was written with; one that was written without any is not checked.

    Raises:
        ArtefactError: it is damaged or was changed by another program; or as :func:`read_metadata`.
    """
    if not {SEAL_KEY, HASH_KEY} & read_metadata(path).keys():
        return
    with open_regular(path) as stream:
        size = os.fstat(stream.fileno()).st_size
        hashes = [(span, value) for span, (key, value) in _entries(stream, size) if key == HASH_KEY]
        (start, end), expected = hashes[0] if len(hashes) == 1 else ((0, 0), "")
        digest = hashlib.sha256()
        for first, last in ((0, start), (end, size)):
            stream.seek(first)
            while first < last and (chunk := stream.read(min(_CHUNK, last - first))):
                digest.update(chunk)
                first += len(chunk)
    if json.dumps(digest.hexdigest()) != expected:
        raise ArtefactError(
            f"{path}: damaged: its content is not what was written (SHA-256); copy it again, or export it with `python "
            "-m stages.export`; if you changed it on purpose, open it with verify=False (deploy.predict: --no-verify)"
        )


def _encoded(key: str, value: str) -> bytes:
    """One entry of the metadata, its value as JSON like all others; lengths below 128 are one byte."""
    parts = ((_KEY, key.encode()), (_VALUE, json.dumps(value).encode()))
    entry = b"".join(bytes([number << 3 | BYTES, len(part)]) + part for number, part in parts)
    return bytes([_METADATA << 3 | BYTES, len(entry)]) + entry


def _metadata(stream: BinaryIO, size: int) -> dict[str, str]:
    if _GRAPH not in [field for field, *_ in fields(stream, size)]:
        raise Malformed("it holds no graph")
    return dict(entry for _, entry in _entries(stream, size))


def _entries(stream: BinaryIO, size: int) -> Iterator[tuple[tuple[int, int], tuple[str, str]]]:
    """Yield where each entry of the metadata begins and ends in the file, and what it says."""
    stream.seek(0)
    for field, begin, length, _ in fields(stream, size):
        if field == _METADATA:
            yield (begin, stream.tell() + length), _entry(stream, length)


def _entry(stream: BinaryIO, length: int) -> tuple[str, str]:
    if length > _MAX_ENTRY:
        raise Malformed(f"a metadata entry of {length} bytes")
    parts = {_KEY: b"", _VALUE: b""}
    for field, _, part, _ in fields(stream, stream.tell() + length):
        parts[field] = stream.read(part)
    try:
        return parts[_KEY].decode(), parts[_VALUE].decode()
    except UnicodeDecodeError as error:
        raise Malformed("metadata that is not text") from error
