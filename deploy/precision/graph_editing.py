"""Small edits of ONNX graphs that the onnx package leaves to its users."""

from collections.abc import Collection, Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any, TypeVar

import onnx

MessageType = TypeVar("MessageType", bound=Any)


def sort_nodes(graph: onnx.GraphProto) -> None:
    """Put the nodes, whose names must differ, in an order in which each comes behind those that it reads from."""
    named = {node.name: node for node in graph.node}
    producers = {name: node.name for node in graph.node for name in node.output}
    needs = {name: [producers[i] for i in node.input if i in producers] for name, node in named.items()}
    replace_content(graph.node, [named[name] for name in TopologicalSorter(needs).static_order()])


def copy_of(message: MessageType, name: str = "") -> MessageType:
    """A copy of a message, with another name if one is given."""
    copy = type(message)()
    copy.CopyFrom(message)
    if name:
        copy.name = name
    return copy


def replace_content(field: Any, content: Iterable[Any]) -> None:
    """Give a repeated field of a message new content, which may be made of its old one."""
    copies = [copy_of(item) if hasattr(item, "CopyFrom") else item for item in content]
    del field[:]
    field.extend(copies)


def tensor_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element types of the tensors that are given or computed, weights left out, as far as the graph says them."""
    constants = {tensor.name for tensor in model.graph.initializer}
    values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
    return {value.name: value.type.tensor_type.elem_type for value in values if value.name not in constants}


def part_of(model: onnx.ModelProto, inputs: Mapping[str, int], outputs: Collection[str]) -> onnx.ModelProto:
    """What computes ``outputs`` from ``inputs``, tensors of the graph with their element types; inputs not read go.

    The nodes must be in an order in which each comes behind those that it reads from.
    """
    wanted, kept = set(outputs), []
    for node in reversed(model.graph.node):
        if not wanted.difference(inputs).isdisjoint(node.output):
            kept.append(node)
            wanted.update(node.input)
    part = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import, functions=model.functions)
    part.graph.name = model.graph.name
    part.graph.node.extend(reversed(kept))
    part.graph.initializer.extend(tensor for tensor in model.graph.initializer if tensor.name in wanted)
    types = {name: kind for name, kind in inputs.items() if name in wanted}
    part.graph.input.extend(onnx.helper.make_tensor_value_info(name, kind, None) for name, kind in types.items())
    # Without types: ONNX Runtime infers those of what is computed.
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return part
