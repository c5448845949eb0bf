"""Golden values on disk: the arrays and the numbers of one case in one small file.

Random weights hardly compress, so what helps is to store no byte that says nothing: float32 arrays whose values are
all float16's are stored as such, the bytes of all arrays of a type lie plane by plane (signs and exponents together),
and xz packs the whole. Arrays come back bit for bit, of the type that they had.
"""

import json
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]

DATA = Path(__file__).parents[2] / "data"
_LENGTH = 8


def write(path: Path, record: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a JSON record and arrays."""
    stored = {name: _smallest(array) for name, array in arrays.items()}
    entries = [[name, array.dtype.str, stored[name].dtype.str, list(array.shape)] for name, array in arrays.items()]
    header = json.dumps({"record": record, "arrays": entries}, separators=(",", ":")).encode()
    planes = b"".join(
        np.concatenate([array.ravel() for array in stored.values() if array.dtype.str == kind])
        .view(np.uint8)
        .reshape(-1, np.dtype(kind).itemsize)
        .T.tobytes()
        for kind in _kinds(entries)
    )
    content = len(header).to_bytes(_LENGTH, "little") + header + planes
    path.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))


def read(path: Path) -> tuple[dict[str, Any], Arrays]:
    """The record and the arrays of a file."""
    content = lzma.decompress(path.read_bytes())
    start = _LENGTH + int.from_bytes(content[:_LENGTH], "little")
    header = json.loads(content[_LENGTH:start])
    arrays: Arrays = {}
    for kind in _kinds(header["arrays"]):
        entries = [entry for entry in header["arrays"] if entry[2] == kind]
        counts = [int(np.prod(shape)) for *_, shape in entries]
        size = np.dtype(kind).itemsize * sum(counts)
        planes = np.frombuffer(content, np.uint8, size, start).reshape(np.dtype(kind).itemsize, -1)
        values = np.split(planes.T.copy().view(kind)[:, 0], np.cumsum(counts)[:-1])
        for (name, wanted, _, shape), array in zip(entries, values, strict=True):
            arrays[name] = array.astype(wanted).reshape(shape)
        start += size
    return header["record"], {name: arrays[name] for name, *_ in header["arrays"]}


def _smallest(array: np.ndarray) -> np.ndarray:
    if array.dtype != np.float32:
        return array
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if array.tobytes() == half.astype(np.float32).tobytes() else array


def _kinds(entries: list[Any]) -> list[str]:
    return sorted({stored for _, _, stored, _ in entries})
