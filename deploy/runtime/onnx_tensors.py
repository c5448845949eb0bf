"""The tensors inside an ONNX file: none is larger than its data, and none lies elsewhere.

Numbers of fields and types: ``onnx/onnx.proto``. Backends trust a shape before they look for its data: OpenVINO takes
4 GB for a tensor of which the file holds nothing.
"""

import math
from io import BytesIO
from typing import BinaryIO

from deploy.runtime.protobuf import Malformed, fields, varint

# Fields of messages that hold graphs, nodes or tensors further down.
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTION = 7, 20, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_SPARSE = 1, 5, 15
_NODE_ATTRIBUTE = 5
_FUNCTION_NODE, _FUNCTION_ATTRIBUTE = 7, 11
_TRAINING_GRAPHS = (1, 2)
_ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS = 5, 6, 10, 11
_ATTRIBUTE_SPARSE = (22, 23)
_DIMS, _TYPE, _RAW, _EXTERNAL, _LOCATION = 1, 2, 9, 13, 14
# Lists of numbers: each takes a byte at least, a floating-point one four or eight.
_LISTS = {4: 4, 5: 1, 6: 1, 7: 1, 10: 8, 11: 1}
_BITS = {
    1: 32,
    2: 8,
    3: 8,
    4: 16,
    5: 16,
    6: 32,
    7: 64,
    9: 8,
    10: 16,
    11: 64,
    12: 32,
    13: 64,
    14: 64,
    15: 128,
    16: 16,
    **dict.fromkeys((17, 18, 19, 20, 24), 8),
    **dict.fromkeys((21, 22, 23), 4),
    **dict.fromkeys((25, 26), 2),
}
_LARGEST_SIDE = 1 << 63
_DEEPEST = 20
_SHOWN = 8
_SMALL = 1 << 16


def check_model(stream: BinaryIO, size: int) -> None:
    """Check every tensor of a model of ``size`` bytes; raises :class:`Malformed` naming what is wrong with one."""
    for field, _, length, _ in fields(stream, size):
        end = stream.tell() + length
        if field == _MODEL_GRAPH:
            _check_graph(stream, end, 0)
        elif field == _MODEL_FUNCTION:
            _check_nodes(stream, end, 0, _FUNCTION_NODE, _FUNCTION_ATTRIBUTE)
        elif field == _MODEL_TRAINING:
            for inner, _, part, _ in fields(stream, end):
                if inner in _TRAINING_GRAPHS:
                    _check_graph(stream, stream.tell() + part, 0)


def _check_graph(stream: BinaryIO, end: int, depth: int) -> None:
    if depth > _DEEPEST:
        raise Malformed(f"more than {_DEEPEST} graphs inside each other")
    for field, _, length, _ in fields(stream, end):
        inner = stream.tell() + length
        if field == _GRAPH_INITIALIZER:
            _check_tensor(stream, inner)
        elif field == _GRAPH_NODE and length <= _SMALL:
            # In memory, where asking for a position costs no system call.
            _check_nodes(BytesIO(stream.read(length)), length, depth, None, _NODE_ATTRIBUTE)
        elif field == _GRAPH_NODE:
            _check_nodes(stream, inner, depth, None, _NODE_ATTRIBUTE)
        elif field == _GRAPH_SPARSE:
            raise Malformed("a sparse tensor, which no artefact of this pipeline has")


def _check_nodes(stream: BinaryIO, end: int, depth: int, nodes: int | None, attributes: int) -> None:
    """A node, or a function, which has nodes and, as defaults, attributes."""
    for field, _, length, _ in fields(stream, end):
        inner = stream.tell() + length
        if field == nodes:
            _check_nodes(stream, inner, depth, None, _NODE_ATTRIBUTE)
        elif field == attributes:
            _check_attribute(stream, inner, depth)


def _check_attribute(stream: BinaryIO, end: int, depth: int) -> None:
    single = 0
    for field, _, length, _ in fields(stream, end):
        inner = stream.tell() + length
        if field in (_ATTRIBUTE_TENSOR, _ATTRIBUTE_TENSORS):
            _check_tensor(stream, inner)
            single += field == _ATTRIBUTE_TENSOR
        elif field in (_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS):
            _check_graph(stream, inner, depth + 1)
        elif field in _ATTRIBUTE_SPARSE:
            raise Malformed("a sparse tensor, which no artefact of this pipeline has")
    # Protocol buffers join the two, their shapes included.
    if single > 1:
        raise Malformed("an attribute that holds its tensor twice")


def _check_tensor(stream: BinaryIO, end: int) -> None:
    dims: list[int] = []
    kind, raw, listed = 0, 0, 0
    for field, _, length, value in fields(stream, end):
        if field == _DIMS:
            dims += _packed(stream, stream.tell() + length) if length else [value]
        elif field == _TYPE:
            kind = value
        elif field == _RAW:
            raw = length
        elif field in _LISTS:
            listed += (length or 1) // (_LISTS[field] if length else 1)
        elif field == _EXTERNAL or (field == _LOCATION and value):
            raise Malformed("a tensor whose data lies in another file, which no artefact of this pipeline has")
    if any(side >= _LARGEST_SIDE for side in dims):
        raise Malformed(f"a tensor with a negative side: {[side - 2 * _LARGEST_SIDE for side in dims[:_SHOWN]]}")
    claimed, there = math.prod(dims), max(8 * raw // _BITS.get(kind, 8), listed)
    # Numbers of less than a byte may share an entry of a list.
    if claimed > there * (max(1, 8 // _BITS.get(kind, 8)) if not raw else 1):
        raise Malformed(f"a tensor of {' x '.join(map(str, dims[:_SHOWN]))} values, of which the file holds {there:,}")


def _packed(stream: BinaryIO, end: int) -> list[int]:
    found = []
    while stream.tell() < end:
        found.append(varint(stream))
    return found
