"""Weights: the project's own, which have a hash, and published ones, whose archives have sums of their own."""

import hashlib
import io
import json
import struct
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import safetensors.torch
import torch

from benchmarks.fuzz.byte_damage import damage_bytes
from benchmarks.fuzz.cases import Kind, Sample
from benchmarks.fuzz.odd_values import JSON
from benchmarks.fuzz.tree_damage import damage_tree, written
from pipeline.checkpoints import check_classes, classes_entry, load_strict, load_weights, save_weights
from pipeline.errors import CheckpointError

_CLASSES = ["crown", "Stämme"]


def _model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Linear(8, 4))


_STATE = _model().state_dict()


def own_weights() -> bytes:
    """A file of the project's own, with its hash."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        save_weights(path, _STATE, {"model": "tiny", **classes_entry(_CLASSES)})
        return path.read_bytes()


def _pickled(content: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def _header_damage(random: Random, content: bytes) -> bytes:
    """Another header before the same tensors."""
    (length,) = struct.unpack_from("<Q", content)
    header = written(damage_tree(random, json.loads(content[8 : 8 + length]), JSON), JSON)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


_ODD: tuple[Any, ...] = (
    *(None, 1, "x", b"x", [], {}, [torch.ones(2)], {1: torch.ones(1)}, {"a": {"b": 1}}, {("a", 1): torch.ones(1)}),
    *(torch.ones(2, dtype=torch.complex64), torch.ones(2).to_sparse(), torch.empty(0), torch.tensor(float("nan"))),
    {"state_dict": None},
)


def _other_objects(random: Random, _: bytes) -> bytes:
    """A checkpoint of another shape than a state dict's."""
    state: dict[Any, Any] = {**_STATE, random.choice(list(_STATE)): random.choice(_ODD)}
    state[random.choice(("new", 3, None, ("a",)))] = random.choice((torch.ones(1), *_ODD))
    classes: Any = random.choice(((*_CLASSES,), None, 5, [1, 2], "ab", [[]]))
    meta = {"CLASSES": classes, "dataset_meta": random.choice(({}, None, 3, []))}
    whole = (state, {"state_dict": state, "meta": meta}, {"state_dict": _STATE, "meta": meta}, *_ODD)
    return _pickled(random.choice(whole))


def _read(path: Path) -> object:
    tensors, metadata = load_weights(path)
    load_strict(_model(), tensors, str(path))
    check_classes(metadata, _CLASSES, str(path))
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


_MMENGINE = {
    "meta": {"dataset_meta": {"classes": (*_CLASSES,)}, "epoch": 12},
    "state_dict": dict(_STATE),
    "optimizer": {"lr": 0.1},
}
KIND = Kind(
    samples={
        "own": Sample("weights.safetensors", own_weights(), damage_bytes, exact=True),
        "own-header": Sample("weights.safetensors", own_weights(), _header_damage),
        "foreign": Sample("weights.safetensors", safetensors.torch.save(_STATE), damage_bytes),
        "foreign-header": Sample("weights.safetensors", safetensors.torch.save(_STATE), _header_damage),
        "pth": Sample("published.pth", _pickled(_MMENGINE), damage_bytes, exact=True),
        "bare-pth": Sample("published.pth", _pickled(dict(_STATE)), damage_bytes, exact=True),
        "objects": Sample("published.pth", _pickled(_MMENGINE), _other_objects),
    },
    read=_read,
    own=(CheckpointError,),
    share=2,
)
