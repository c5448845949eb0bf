"""ONNX artefacts through ``deploy.load`` and one image: what opens gives the boxes of the file that was exported."""

import json
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

import deploy
from benchmarks.fuzz.byte_damage import damage_bytes
from benchmarks.fuzz.cases import Kind, Sample
from benchmarks.fuzz.inputs.artefact_sample import SPEC, artefact, model
from benchmarks.fuzz.odd_values import JSON, Raw
from benchmarks.fuzz.tree_damage import damage_tree, written
from deploy.runtime.errors import ArtefactError, BackendUnavailable
from deploy.runtime.onnx_file import sealed

_IMAGE = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
_TREE = {key: json.loads(value) for key, value in SPEC.to_metadata().items()}
_DIMENSIONS = (0, -1, 1, 2, 1 << 20, 1 << 31, (1 << 63) - 1)


def _text(value: Any) -> str:
    return written(value, JSON).decode("utf-8", "replace")


def _other_metadata(random: Random, _: bytes) -> bytes:
    """Values that somebody else wrote, under a hash that holds."""
    tree = damage_tree(random, _TREE, JSON)
    if not isinstance(tree, dict):
        tree = {"": tree}
    named = {
        key.text.decode("utf-8", "replace") if isinstance(key, Raw) else str(key): _text(value)
        for key, value in tree.items()
    }
    # What protocol buffers hold is UTF-8, so that half a surrogate pair gets no further.
    clean = {
        key.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode()
        for key, value in named.items()
    }
    return sealed(model(clean).SerializeToString())


def _other_graph(random: Random, _: bytes) -> bytes:
    """A graph that is none, under a hash that holds: what a backend makes of it is one of the project's errors."""
    built = model()
    graph = built.graph
    fault = random.randrange(6)
    if fault == 0:
        del graph.node[random.randrange(len(graph.node))]
    elif fault == 1:
        tensor = random.choice(graph.initializer)
        tensor.dims[random.randrange(len(tensor.dims))] = random.choice(_DIMENSIONS)
    elif fault == 2:
        node = random.choice(graph.node)
        # No Conv: OpenVINO 2026 dies of one without weights. Only who seals such a file on purpose gets it there.
        node.op_type = random.choice(("Nobody", "NonMaxSuppression", "Loop", "Resize", ""))
    elif fault == 3:
        value = random.choice([*graph.input, *graph.output])
        value.type.tensor_type.elem_type = random.choice((0, 1, 7, 10, 99))
    elif fault == 4:
        value = random.choice([*graph.input, *graph.output])
        dimension = random.choice(value.type.tensor_type.shape.dim)
        dimension.dim_value = random.choice(_DIMENSIONS)
    else:
        value = random.choice([*graph.input, *graph.output])
        value.name = random.choice(("other", "", "images", "boxes"))
    return sealed(built.SerializeToString())


def _read(path: Path) -> object:
    backend = "openvino" if path.stem == "openvino" else "onnxruntime"
    with deploy.load(path, backend, threads=1) as detector:
        found = detector(_IMAGE)
    return found.boxes.tolist(), found.scores.tolist(), found.names


_FILE = artefact()
KIND = Kind(
    samples={
        "onnxruntime": Sample("tiny.onnx", _FILE, damage_bytes, exact=True),
        "openvino": Sample("openvino.onnx", _FILE, damage_bytes, exact=True),
        "metadata": Sample("tiny.onnx", _FILE, _other_metadata),
        "graph": Sample("tiny.onnx", _FILE, _other_graph),
        "graph-openvino": Sample("openvino.onnx", _FILE, _other_graph),
    },
    read=_read,
    own=(ArtefactError, BackendUnavailable),
)
