"""int8: explicit QuantizeLinear/DequantizeLinear pairs in the network of an artefact, in the forms that backends need.

No form serves all backends: ONNX Runtime fuses int8 convolutions on x86 only for uint8 activations with a quantised
output, TensorRT takes symmetric int8 alone, with a float bias and no pair between a convolution and its activation.
Scales are written by ONNX Runtime's ``QDQQuantizer``; weights have one scale a channel in every form.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import onnx
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorsData

from deploy.precision.calibration import Ranges
from deploy.precision.graph_editing import copy_of, sort_nodes
from deploy.precision.network import WEIGHTED, network_nodes


@dataclass(frozen=True)
class Form:
    """How activations, outputs and biases are quantised; weights are symmetric int8 with a scale per channel.

    ``operators`` are the types whose inputs are quantised, their outputs too if ``outputs``. ``asymmetric`` activations
    are uint8 with a zero point, others int8 around 0. A bias that is not ``int32_bias`` stays float32.
    """

    operators: frozenset[str]
    outputs: bool
    asymmetric: bool
    int32_bias: bool


FORMS: Mapping[str, Form] = {
    "int8": Form(
        operators=WEIGHTED | {"Add", "Clip", "MaxPool", "Relu", "Resize"},
        outputs=True,
        asymmetric=True,
        int32_bias=True,
    ),
    "int8_symmetric": Form(operators=WEIGHTED, outputs=False, asymmetric=False, int32_bias=False),
}
"""The int8 precisions by name: for the CPU backends, and for TensorRT."""

CALIBRATED = frozenset[str]().union(*(form.operators for form in FORMS.values()))
"""Types of the operators whose inputs and outputs need a range."""


@dataclass(frozen=True)
class Quantiser:
    """One form for one graph; which of its layers are quantised is said with every call.

    Args:
        model: an fp32 graph with the types of all tensors (:func:`deploy.precision.network.load_exported`).
        ranges: of every float tensor that :data:`CALIBRATED` operators of the network read and write.
        reduce_range: weights in 7 bits. CPUs without VNNI add pairs of uint8 × int8 products in 16 bits, which
            saturate with 8 (ONNX Runtime, "Quantize ONNX models": when and why do I need to try U8U8).
    """

    model: onnx.ModelProto
    ranges: Ranges
    form: Form
    reduce_range: bool = False

    @cached_property
    def layers(self) -> dict[str, list[str]]:
        """Names of the network's nodes with weights by the weights that they use, in the order of the graph.

        A head that serves several levels is one layer with a node for each level.
        """
        constants = {tensor.name for tensor in self.model.graph.initializer}
        found: dict[str, list[str]] = {}
        for node in self.model.graph.node:
            if node.name in self._inside and node.op_type in WEIGHTED:
                weight = next(name for name in node.input if name in constants)
                found.setdefault(weight, []).append(node.name)
        return found

    def keeping(self, kept: Iterable[str]) -> onnx.ModelProto:
        """The graph with all of the network quantised but the layers ``kept``."""
        return self._quantise(self._inside.difference(*(self.layers[layer] for layer in kept)))

    def alone(self, layer: str) -> onnx.ModelProto:
        """The graph with nothing quantised but one layer."""
        return self._quantise(self.layers[layer])

    @cached_property
    def _inside(self) -> frozenset[str]:
        return frozenset(network_nodes(self.model))

    def _quantise(self, names: Collection[str]) -> onnx.ModelProto:
        if not names:  # the library takes an empty list for every node
            return copy_of(self.model)
        form = self.form
        quantizer = QDQQuantizer(
            copy_of(self.model),
            per_channel=True,
            reduce_range=self.reduce_range,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8 if form.asymmetric else QuantType.QInt8,
            tensors_range=TensorsData(CalibrationMethod.MinMax, dict(self.ranges)),
            nodes_to_quantize=[node.name for node in self.model.graph.node if node.name in names],
            nodes_to_exclude=[],
            op_types_to_quantize=sorted(form.operators),
            extra_options={
                "ActivationSymmetric": not form.asymmetric,
                "WeightSymmetric": True,
                "QuantizeBias": form.int32_bias,
                "OpTypesToExcludeOutputQuantization": [] if form.outputs else sorted(form.operators),
            },
        )
        quantizer.quantize_model()
        result: onnx.ModelProto = quantizer.model.model
        sort_nodes(result.graph)
        return result
