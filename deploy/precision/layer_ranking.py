"""Layers by what quantising each of them alone does to what decoding reads.

A layer changes nothing of what is computed before it. So the network is gone through once, in the order of its nodes;
at each layer what is left of the graph is run with that layer quantised, from the tensors that are alive there.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from tqdm import tqdm

from deploy.precision.graph_editing import part_of, tensor_types
from deploy.precision.network import network_outputs
from deploy.precision.quantisation import Quantiser
from deploy.runtime.resources import usable_cores
from pipeline.deploy_records import KeptLayer

Tensors = Mapping[str, NDArray[Any]]


def rank_layers(quantiser: Quantiser, inputs: Tensors) -> tuple[KeptLayer, ...]:
    """Layers by falling error: relative squared distance of the head's outputs when only that layer is quantised.

    Args:
        inputs: of the artefact's graph, by name; the first axis of each is the images, which go through one by one.
    """
    names = network_outputs(quantiser.model)
    way = _Way(quantiser.model, inputs)
    reference = way.run(quantiser.model, names)
    errors = []
    starts = {layer: way.first_reader(nodes) for layer, nodes in quantiser.layers.items()}
    for layer in tqdm(sorted(starts, key=lambda each: starts[each]), desc="rank layers", unit="layer", leave=None):
        way.go_to(starts[layer])
        graph = quantiser.alone(layer)
        ends = {name: end for name in names if way.reaches(name, end := _end_of_pair(graph, name))}
        changed = way.run(graph, list(ends.values()))
        errors.append(KeptLayer(layer=layer, error=_distance(names, reference, list(ends), changed)))
    return tuple(sorted(errors, key=lambda item: -item.error))


class _Way:
    """A place in the order of a graph's nodes, and for each image the tensors that nodes from there on read."""

    def __init__(self, model: onnx.ModelProto, inputs: Tensors) -> None:
        self._model = model
        self._nodes = list(model.graph.node)
        self._types = tensor_types(model)
        self._place = {name: place for place, node in enumerate(self._nodes) for name in node.output}
        self._at = 0
        count = len(next(iter(inputs.values())))
        self._images: list[Tensors] = [
            {name: value[each : each + 1] for name, value in inputs.items()} for each in range(count)
        ]

    def first_reader(self, names: Iterable[str]) -> int:
        """Where a node first reads what the nodes ``names`` read: quantised, it is so for all that read it."""
        members = set(names)
        read = {
            tensor for node in self._nodes if node.name in members for tensor in node.input if tensor in self._types
        }
        return next(place for place, node in enumerate(self._nodes) if read.intersection(node.input))

    def go_to(self, place: int) -> None:
        """Compute what nodes from ``place`` on read; it lies ahead."""
        read = {name for node in self._nodes[place:] for name in node.input if name in self._types}
        alive = sorted(name for name in read if self._place.get(name, -1) < place)
        missing = [name for name in alive if name not in self._images[0]]
        computed = self.run(self._model, missing) if missing else [[] for _ in self._images]
        self._images = [
            {name: known[name] for name in alive if name in known} | dict(zip(missing, found, strict=True))
            for known, found in zip(self._images, computed, strict=True)
        ]
        self._at = place

    def reaches(self, name: str, end: str) -> bool:
        """Whether a tensor is computed from here on; ``end`` is what it is read as."""
        return self._place[name] >= self._at or (end != name and name in self._images[0])

    def run(self, model: onnx.ModelProto, names: Sequence[str]) -> list[list[NDArray[np.float32]]]:
        """The tensors ``names`` of each image, by ``model``: the graph or one with a layer quantised."""
        part = part_of(model, {name: self._types[name] for name in self._images[0]}, names)
        read = {value.name for value in part.graph.input}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = usable_cores()
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(part.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return [list(session.run(list(names), {name: image[name] for name in read})) for image in self._images]


def _end_of_pair(model: onnx.ModelProto, name: str) -> str:
    """What the readers of a tensor get: the other end of its QuantizeLinear/DequantizeLinear pair, if it has one."""
    for operator in ("QuantizeLinear", "DequantizeLinear"):
        ends = [node.output[0] for node in model.graph.node if node.op_type == operator and node.input[0] == name]
        name = ends[0] if ends else name
    return name


def _distance(
    names: Sequence[str],
    reference: Sequence[Sequence[NDArray[np.float32]]],
    changed_names: Sequence[str],
    changed: Sequence[Sequence[NDArray[np.float32]]],
) -> float:
    """Mean over the outputs of the squared distance divided by the squared length of the reference, of all images."""
    moved = dict.fromkeys(names, 0.0)
    length = dict.fromkeys(names, 0.0)
    for before, after in zip(reference, changed, strict=True):
        known = dict(zip(names, before, strict=True))
        for name in names:
            length[name] += _square(known[name])
        for name, output in zip(changed_names, after, strict=True):
            moved[name] += _square(output - known[name])
    tiny = float(np.finfo(np.float32).tiny)
    return float(np.mean([moved[name] / max(length[name], tiny) for name in names]))


def _square(values: NDArray[np.float32]) -> float:
    return float(np.sum(values.astype(np.float64) ** 2))
