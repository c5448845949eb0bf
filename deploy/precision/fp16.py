"""fp16: the network of an artefact in half precision, all around it as it was.

The network is cut out, converted by ONNX Runtime's own converter with a cast at each border, and put back. Cutting
comes first because that converter rounds every tensor between two blocked nodes through float16 (onnxruntime 1.31,
``transformers/float16.py``: both ends of each value get a cast): box coordinates would lose their decimals.
"""

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from deploy.precision.graph_editing import copy_of, replace_content, sort_nodes
from deploy.precision.network import SHAPE_READERS, float_tensors, network_nodes

_OWN = "/fp16"


def to_fp16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of an fp32 graph whose network computes in float16; inputs and outputs keep their types.

    Args:
        model: with the types of all tensors (:func:`deploy.precision.network.load_exported`).

    Raises:
        ArtefactError: the graph has no node with weights.
    """
    result = copy_of(model)
    graph = result.graph
    inside = set(network_nodes(result))
    produced = {name for node in graph.node if node.name in inside for name in node.output}
    # Inside they need no cast.
    inside |= {n.name for n in graph.node if n.op_type in SHAPE_READERS and n.input[0] in produced}
    part = _cut_out(result, inside)
    part = convert_float_to_float16(part, keep_io_types=True, op_block_list=[], disable_shape_infer=True)
    rest = [node for node in graph.node if node.name not in inside]
    used = {name for node in rest for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    known = {value.name for value in part.graph.value_info}
    values = [value for value in graph.value_info if value.name not in known]
    replace_content(graph.initializer, [*kept, *part.graph.initializer])
    replace_content(graph.value_info, [*values, *part.graph.value_info])
    replace_content(graph.node, [*rest, *part.graph.node])
    sort_nodes(graph)
    onnx.checker.check_model(result, full_check=True)
    return result


def _cut_out(model: onnx.ModelProto, inside: set[str]) -> onnx.ModelProto:
    """A model of its own of the nodes ``inside``, with copies of the constants that they use."""
    graph = model.graph
    nodes = [copy_of(node) for node in graph.node if node.name in inside]
    constants = {tensor.name: tensor for tensor in graph.initializer}
    values = {value.name: value for value in [*graph.value_info, *graph.input, *graph.output]}
    outside = {name for node in graph.node if node.name not in inside for name in node.input}
    outside |= {value.name for value in graph.output}
    produced = {name for node in nodes for name in node.output}
    read = dict.fromkeys(name for node in nodes for name in node.input if name)
    own = {name: f"{name}{_OWN}" for name in read if name in constants}
    for node in nodes:
        replace_content(node.input, [own.get(name, name) for name in node.input])
    copies = [copy_of(constants[name], own[name]) for name in own]
    inputs = [values[name] for name in read if name not in produced and name not in constants]
    outputs = [values[name] for node in nodes for name in node.output if name in outside]
    floats = float_tensors(model)
    inner = [values[name] for name in sorted((floats & produced) - outside)]
    part = onnx.helper.make_graph(nodes, "network", inputs, outputs, copies, value_info=inner)
    return onnx.helper.make_model(part, opset_imports=model.opset_import, ir_version=model.ir_version)
