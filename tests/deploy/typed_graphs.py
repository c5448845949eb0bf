"""Graphs with explicit types, as the precision stage writes them: convolutions in fp16, or between int8 Q/DQ pairs."""

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto
from onnx.helper import make_node
from onnx.numpy_helper import from_array, to_array

ACTIVATION_SCALE = 0.05


def typed(model: ModelProto, precision: str) -> ModelProto:
    """``model`` with every convolution in ``precision``: fp32 (as it is), fp16, or int8 (symmetric, float bias)."""
    model = ModelProto.FromString(model.SerializeToString())
    rewrite = {"fp16": _half, "int8": _quantised}.get(precision)
    if rewrite is None:
        return model
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        nodes += rewrite(model, node, weights) if node.op_type == "Conv" else [node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    return model


def _half(model: ModelProto, node: NodeProto, weights: dict[str, TensorProto]) -> list[NodeProto]:
    given, *parameters = node.input
    result = node.output[0]
    for name in parameters:
        half = f"{name}/fp16"
        if half not in weights:
            weights[half] = from_array(to_array(weights[name]).astype(np.float16), half)
            model.graph.initializer.append(weights[half])
    node.input[:] = [f"{node.name}/in", *(f"{name}/fp16" for name in parameters)]
    node.output[:] = [f"{node.name}/out"]
    return [
        make_node("Cast", [given], [f"{node.name}/in"], f"{node.name}/to_fp16", to=TensorProto.FLOAT16),
        node,
        make_node("Cast", [f"{node.name}/out"], [result], f"{node.name}/to_fp32", to=TensorProto.FLOAT),
    ]


def _quantised(model: ModelProto, node: NodeProto, weights: dict[str, TensorProto]) -> list[NodeProto]:
    given, weight, *bias = node.input
    scale, zero = f"{node.name}/scale", f"{node.name}/zero"
    model.graph.initializer.extend(
        [from_array(np.float32(ACTIVATION_SCALE), scale), from_array(np.int8(0), zero)],
    )
    values = to_array(weights[weight])
    scales = np.maximum(np.abs(values).reshape(len(values), -1).max(axis=1), 1e-6).astype(np.float32) / 127
    quantised = np.round(values / scales.reshape(-1, 1, 1, 1)).astype(np.int8)
    names = [f"{node.name}/weight", f"{node.name}/weight_scale", f"{node.name}/weight_zero"]
    model.graph.initializer.extend(
        from_array(value, name)
        for value, name in zip((quantised, scales, np.zeros(len(values), np.int8)), names, strict=True)
    )
    node.input[:] = [f"{node.name}/in", f"{node.name}/weight_dq", *bias]
    return [
        make_node("QuantizeLinear", [given, scale, zero], [f"{node.name}/q"], f"{node.name}/quantize"),
        make_node("DequantizeLinear", [f"{node.name}/q", scale, zero], [f"{node.name}/in"], f"{node.name}/dequantize"),
        make_node("DequantizeLinear", names, [f"{node.name}/weight_dq"], f"{node.name}/dequantize_weight", axis=0),
        node,
    ]
