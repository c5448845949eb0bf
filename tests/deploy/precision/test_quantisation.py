"""The int8 forms: what is quantised, how, and that nothing else is."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from deploy.precision.calibration import activation_ranges
from deploy.precision.network import load_exported, network_nodes
from deploy.precision.quantisation import CALIBRATED, FORMS, Quantiser
from deploy.runtime.backends import open_backend
from pipeline.device import describe_device
from tests.deploy.stock import noise_images, spec

Graphs = dict[str, onnx.ModelProto]
ADDS_IN_32_BITS = bool({"avx_vnni", "avx512_vnni", "neon"} & {*describe_device().instruction_sets})


@pytest.fixture(scope="module")
def quantisers(exported_gfl: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Quantiser]:
    model, found = load_exported(exported_gfl)
    folder = tmp_path_factory.mktemp("images")
    files = [folder / f"{number}.png" for number in range(3)]
    for file, image in zip(files, noise_images(3).numpy(), strict=True):
        cv2.imwrite(str(file), image)
    ranges = activation_ranges(model, found, files, CALIBRATED)
    return {name: Quantiser(model, ranges, form) for name, form in FORMS.items()}


@pytest.fixture(scope="module")
def graphs(quantisers: dict[str, Quantiser]) -> Graphs:
    return {name: quantiser.keeping([]) for name, quantiser in quantisers.items()}


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def nodes(model: onnx.ModelProto, kind: str) -> Iterator[onnx.NodeProto]:
    return (node for node in model.graph.node if node.op_type == kind)


def test_symmetric_form_is_what_tensorrt_takes(graphs: Graphs) -> None:
    model, values = graphs["int8_symmetric"], constants(graphs["int8_symmetric"])
    pairs = [*nodes(model, "QuantizeLinear"), *nodes(model, "DequantizeLinear")]
    assert {values[node.input[2]].dtype for node in pairs} == {np.dtype(np.int8)}
    assert not any(values[node.input[2]].any() for node in pairs)
    convolutions = list(nodes(model, "Conv"))
    assert all(values[node.input[2]].dtype == np.float32 for node in convolutions if len(node.input) == 3)
    readers = {n.op_type for n in model.graph.node for d in nodes(model, "DequantizeLinear") if d.output[0] in n.input}
    assert "Conv" in readers
    assert not readers & {"Relu", "Reshape", "InstanceNormalization"}, "no pair between a convolution and what it fuses"


def test_cpu_form_has_unsigned_activations_and_quantised_outputs(graphs: Graphs) -> None:
    model, values = graphs["int8"], constants(graphs["int8"])
    assert {values[node.input[2]].dtype for node in nodes(model, "QuantizeLinear")} == {np.dtype(np.uint8)}
    quantised = {node.input[0] for node in nodes(model, "QuantizeLinear")}
    assert all(node.output[0] in quantised for node in nodes(model, "Conv"))
    biases = [
        node for node in nodes(model, "DequantizeLinear") if values.get(node.input[0], np.int8(0)).dtype == np.int32
    ]
    assert biases


@pytest.mark.parametrize("name", list(FORMS))
def test_weights_have_a_scale_a_channel_and_lose_half_a_step(name: str, graphs: Graphs, exported_gfl: Path) -> None:
    model, values, before = graphs[name], constants(graphs[name]), constants(onnx.load(exported_gfl))
    checked = 0
    for node in nodes(model, "DequantizeLinear"):
        weight = before.get(node.input[0].removesuffix("_quantized"))
        if weight is None or weight.ndim != 4:
            continue
        scale = values[node.input[1]]
        assert scale.shape == (len(weight),)
        restored = values[node.input[0]].astype(np.float32) * scale[:, None, None, None]
        assert (np.abs(restored - weight) <= 0.5001 * scale[:, None, None, None]).all()
        checked += 1
    assert checked == len(Quantiser(load_exported(exported_gfl)[0], {}, FORMS[name]).layers)


@pytest.mark.parametrize("name", list(FORMS))
def test_around_the_network_nothing_changes(name: str, graphs: Graphs, exported_gfl: Path) -> None:
    model, _ = load_exported(exported_gfl)
    inside = set(network_nodes(model))
    before = {node.name: node.op_type for node in model.graph.node if node.name not in inside}
    after = {node.name: node.op_type for node in graphs[name].graph.node}
    assert before.items() <= after.items()
    dequantised = {node.output[0] for node in nodes(graphs[name], "DequantizeLinear")}
    sources = {node.op_type for node in graphs[name].graph.node if node.name in before and dequantised & {*node.input}}
    assert sources <= {"Shape", "Mul", "Transpose"}, "what reads the outputs of the head, and nothing behind it"


@pytest.mark.parametrize("name", list(FORMS))
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_backends_find_the_same(
    name: str, backend: str, quantisers: dict[str, Quantiser], exported_gfl: Path, tmp_path: Path
) -> None:
    # As docs/precision.md has it: a CPU without VNNI adds products in 16 bits, where 8-bit weights overflow.
    form = replace(quantisers[name], reduce_range=not ADDS_IN_32_BITS)
    onnx.save(form.keeping([]), tmp_path / "int8.onnx")
    images = noise_images(2).numpy()
    one = open_backend(backend, exported_gfl, spec(10), 1).run(images)
    other = open_backend(backend, tmp_path / "int8.onnx", spec(10), 1).run(images)
    assert one.num_dets.min() > 5
    np.testing.assert_allclose(other.scores[:, 0], one.scores[:, 0], atol=0.1)


def test_a_layer_that_is_kept_stays_as_it_was(quantisers: dict[str, Quantiser]) -> None:
    for quantiser in quantisers.values():
        kept = list(quantiser.layers)[3]
        graph = quantiser.keeping([kept])
        assert constants(graph)[kept].dtype == np.float32
        assert sum(name.endswith(".weight_quantized") for name in constants(graph)) == len(quantiser.layers) - 1


def test_a_layer_alone(quantisers: dict[str, Quantiser]) -> None:
    for quantiser in quantisers.values():
        layer = next(name for name, nodes in quantiser.layers.items() if len(nodes) == 5)
        graph = quantiser.alone(layer)
        assert [name for name, value in constants(graph).items() if value.dtype == np.int8 and value.ndim == 4] == [
            f"{layer}_quantized"
        ]


def test_seven_bits(quantisers: dict[str, Quantiser]) -> None:
    whole = quantisers["int8"]
    reduced = Quantiser(whole.model, whole.ranges, whole.form, reduce_range=True).keeping([])
    largest = [np.abs(v.astype(int)).max() for v in constants(reduced).values() if v.dtype == np.int8 and v.ndim == 4]
    assert max(largest) == 64


def test_graphs_are_valid_and_reproducible(quantisers: dict[str, Quantiser], graphs: Graphs) -> None:
    for name, quantiser in quantisers.items():
        onnx.checker.check_model(graphs[name], full_check=True)
        again = quantiser.keeping([])
        assert again.SerializeToString(deterministic=True) == graphs[name].SerializeToString(deterministic=True)
