"""Small edits of ONNX graphs that the onnx package leaves to its users."""

from collections.abc import Iterable
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
