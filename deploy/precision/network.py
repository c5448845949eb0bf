"""Which nodes of an exported graph are the network: what may change its precision.

Around the network an artefact holds code that must stay exact: normalisation before it, decoding and NMS behind it. The
border is found by structure. Nodes with weights (:data:`WEIGHTED`) belong to the network, and so does every node on a
way of float tensors from one of them to another, unless that way leads through a node that selects (:data:`SELECTING`),
behind which boxes and scores flow, and features no more.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import onnx

from deploy.runtime.artefact import ArtefactSpec, read_spec
from deploy.runtime.errors import ArtefactError

WEIGHTED = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
SELECTING = frozenset(
    {"GatherElements", "GatherND", "GridSample", "NonMaxSuppression", "NonZero", "RoiAlign", "ScatterND", "TopK"}
)
QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger"})
SHAPE_READERS = frozenset({"Shape", "Size"})
"""They read the shape of a tensor, whatever it holds."""
EXPORTED = "fp32"


def load_exported(artefact: Path) -> tuple[onnx.ModelProto, ArtefactSpec]:
    """Read an fp32 artefact with the types and shapes of all its tensors.

    Raises:
        ArtefactError: the file is missing, cut off, not exported by this pipeline, or has another precision than fp32.
    """
    spec = read_spec(artefact)
    try:
        # By its path: the checker says in its own words what onnx.load would put in those of protobuf.
        onnx.checker.check_model(os.fspath(artefact), full_check=True)
        model = onnx.load(artefact)
        found = sorted({node.op_type for node in model.graph.node} & QUANTISED)
        if spec.precision != EXPORTED or found:
            raise ArtefactError(
                f"{artefact}: its precision is {spec.precision}{f' (it holds {found})' if found else ''}; precisions "
                f"are made from the {EXPORTED} artefact that `python -m stages.export` writes"
            )
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError) as error:
        raise ArtefactError(f"{artefact}: not a valid ONNX graph: {error}; export it again") from error
    _check_names(inferred, artefact)
    return inferred, spec


def network_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of the network's nodes in the order of the graph; types of all tensors must be known.

    Raises:
        ArtefactError: no node has weights.
    """
    nodes, floats = list(model.graph.node), float_tensors(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    producers = {name: node.name for node in nodes for name in node.output}
    consumers = defaultdict(list)
    for node in nodes:
        for name in node.input:
            consumers[name].append(node.name)

    def before(node: onnx.NodeProto) -> Iterable[str]:
        return (producers[name] for name in node.input if name in floats and name in producers)

    def behind(node: onnx.NodeProto) -> Iterable[str]:
        return (consumer for name in node.output if name in floats for consumer in consumers[name])

    weighted = {node.name for node in nodes if node.op_type in WEIGHTED and constants.intersection(node.input)}
    after, ahead = _reached(nodes, weighted, before), _reached(nodes[::-1], weighted, behind)
    if not weighted:
        raise ArtefactError(f"{model.graph.name}: no node with weights ({', '.join(sorted(WEIGHTED))}) in this graph")
    return [node.name for node in nodes if node.name in after & ahead]


def float_tensors(model: onnx.ModelProto) -> set[str]:
    """Names of the float32 tensors that nodes compute."""
    values = [*model.graph.value_info, *model.graph.output]
    return {value.name for value in values if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT}


def _reached(
    nodes: Iterable[onnx.NodeProto], start: set[str], neighbours: Callable[[onnx.NodeProto], Iterable[str]]
) -> set[str]:
    """What is reached from ``start``, itself included; ``nodes`` are in the order of the way."""
    reached = set(start)
    for node in nodes:
        if node.op_type not in SELECTING and not reached.isdisjoint(neighbours(node)):
            reached.add(node.name)
    return reached


def _check_names(model: onnx.ModelProto, artefact: Path) -> None:
    names = [node.name for node in model.graph.node]
    if len({*names, ""}) != len(names) + 1:
        raise ArtefactError(f"{artefact}: its nodes have no names of their own; export it again")


def network_outputs(model: onnx.ModelProto) -> list[str]:
    """Names of the float tensors that leave the network: what decoding reads."""
    inside, floats = set(network_nodes(model)), float_tensors(model)
    outside = [n for n in model.graph.node if n.name not in inside and n.op_type not in SHAPE_READERS]
    read = {name for node in outside for name in node.input}
    read |= {value.name for value in model.graph.output}
    produced = [name for node in model.graph.node if node.name in inside for name in node.output]
    return [name for name in produced if name in read & floats]
