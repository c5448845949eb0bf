"""Ranking from where a layer begins, held against whole graphs with one layer quantised."""

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest

from deploy.precision.calibration import activation_ranges
from deploy.precision.layer_ranking import rank_layers
from deploy.precision.network import load_exported, network_outputs
from deploy.precision.quantisation import CALIBRATED, FORMS, Quantiser
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.preprocess import graph_inputs
from tests.deploy.tiny import SPEC, save_sealed

# A skip past two convolutions, a layer that is read by both halves of a head, and two outputs of different depth.
GRAPH = """
<ir_version: 8, opset_import: ["" : 18]>
branched (uint8[N, 32, 48, 3] images) =>
 (float[N, 2, 4] boxes, float[N, 2] scores, int64[N, 2] labels, int64[N] num_dets)
<int64[1] zero = {0}, int64[1] two = {2}, int64[1] four = {4}, int64[1] last = {-1}, int64[2] flat = {0, -1}>
{
    values = Cast <to = 1> (images)
    planes = Transpose <perm = [0, 3, 1, 2]> (values)
    stem = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [4, 4]> (planes, w_stem)
    one = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (stem, w_one)
    active = Relu (one)
    other = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (active, w_other)
    shortcut = Conv <kernel_shape = [1, 1]> (stem, w_shortcut)
    joined = Add (other, shortcut)
    features = Relu (joined)
    small = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (features)
    near = Conv <kernel_shape = [1, 1]> (features, w_head)
    far = Conv <kernel_shape = [1, 1]> (small, w_head)
    near_row = Reshape (near, flat)
    far_row = Reshape (far, flat)
    row = Concat <axis = 1> (near_row, far_row)
    best, place = TopK <axis = 1> (row, two)
    scores = Sigmoid (best)
    labels = Mul (place, zero)
    corner = Unsqueeze (scores, last)
    boxes = Concat <axis = 2> (corner, corner, corner, corner)
    counts = ReduceSum <keepdims = 0> (labels, last)
    num_dets = Identity (counts)
}
"""
SHAPES = {"w_stem": (8, 3, 3, 3), "w_shortcut": (8, 8, 1, 1), "w_one": (8, 8, 3, 3), "w_other": (8, 8, 3, 3),
          "w_head": (2, 8, 1, 1)}  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[onnx.ModelProto, ArtefactSpec]:
    model = onnx.parser.parse_model(GRAPH)
    random = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        weights = random.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    for place, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{place}"
    onnx.helper.set_model_props(model, SPEC.to_metadata())
    path = tmp_path_factory.mktemp("branched") / "branched.onnx"
    save_sealed(model, path)
    return load_exported(path)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.integers(0, 256, (32, 48, 3), dtype=np.uint8) for _ in range(3)]


@pytest.mark.parametrize("form", FORMS)
def test_it_is_what_whole_graphs_give(exported, images, tmp_path: Path, form: str) -> None:
    model, spec = exported
    files = [tmp_path / f"{place}.png" for place in range(len(images))]
    for file, image in zip(files, images, strict=True):
        cv2.imwrite(str(file), image)
    quantiser = Quantiser(model, activation_ranges(model, spec, files, CALIBRATED), FORMS[form])
    ranked = rank_layers(quantiser, graph_inputs(images, spec))
    assert {item.layer for item in ranked} == set(SHAPES)
    assert [item.error for item in ranked] == sorted((item.error for item in ranked), reverse=True)
    for item in ranked:
        assert item.error == pytest.approx(whole(quantiser, item.layer, images, spec), rel=1e-3)
        assert item.error > 1e-7


def whole(quantiser: Quantiser, layer: str, images: list[np.ndarray], spec: ArtefactSpec) -> float:
    names = network_outputs(quantiser.model)
    inputs = graph_inputs(images, spec)
    graph = quantiser.alone(layer)
    ends = []
    for name in names:
        pairs = [node for node in graph.graph.node if node.op_type == "QuantizeLinear" and node.input[0] == name]
        ends += [node.output[0] for node in graph.graph.node if pairs and node.input[0] == pairs[0].output[0]] or [name]
    before, after = outputs(quantiser.model, names, inputs), outputs(graph, ends, inputs)
    return float(np.mean([np.sum((a - b) ** 2) / np.sum(a**2) for a, b in zip(before, after, strict=True)]))


def outputs(model: onnx.ModelProto, names: list[str], inputs: dict) -> list[np.ndarray]:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return onnxruntime.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"]).run(names, inputs)
