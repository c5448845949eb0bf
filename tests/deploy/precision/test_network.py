"""Where the network ends, and which files are no parents of another precision."""

import json
from pathlib import Path

import onnx
import pytest

from deploy.precision.network import load_exported, network_nodes, network_outputs
from deploy.runtime.errors import ArtefactError
from tests.deploy.tiny import SPEC, save_sealed, write_network_artefact

HEAD = '<ir_version: 8, opset_import: ["" : 18]>'


def named(text: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(f"{HEAD} {text}")
    for node in model.graph.node:
        node.name = node.output[0]
    return onnx.shape_inference.infer_shapes(model)


def test_an_exported_detector_is_cut_behind_its_last_convolutions(exported_gfl: Path) -> None:
    model, _ = load_exported(exported_gfl)
    names = set(network_nodes(model))
    inside = [node for node in model.graph.node if node.name in names]
    outside = {node.op_type for node in model.graph.node if node.name not in names}
    assert inside[0].op_type == "Conv"
    assert {node.name for node in model.graph.node if node.op_type == "Conv"} <= names
    assert {"Sub", "Div", "Sigmoid", "TopK", "NonMaxSuppression", "Concat", "ScatterND"} <= outside
    assert {"Relu", "Add", "MaxPool", "Resize"} <= {node.op_type for node in inside}
    producers = {name: node for node in model.graph.node for name in node.output}
    outputs = network_outputs(model)
    assert len(outputs) == 10, "classes and sides of five levels"
    assert {producers[name].op_type for name in outputs} == {"Conv"}


def test_of_a_two_stage_detector_both_stages_are_network_and_the_proposals_are_not(exported_faster_rcnn: Path) -> None:
    model, _ = load_exported(exported_faster_rcnn)
    names = set(network_nodes(model))
    kinds = {node.op_type for node in model.graph.node if node.name in names}
    assert kinds == {"Conv", "Relu", "Add", "Gemm", "Resize", "MaxPool"}
    assert {node.name for node in model.graph.node if node.op_type in ("Conv", "Gemm")} <= names


def test_a_second_stage_is_network_and_what_chooses_its_boxes_is_not() -> None:
    model = named(
        """two (float[1,3,8,8] x, float[8,1,3,3] w, float[2,8] v) => (float[M, 2] y)
        <float[8,3,1,1] c = {}, float[4,8,1,1] d = {}, float[8,2] g = {}, int64[1] k = {5}, int64[2] flat = {-1, 8},
         int64[2] rows = {-1, 4}>
        { f = Conv (x, c)
          r = Relu (f)
          deltas = Conv (r, d)
          t = Transpose <perm = [0, 2, 3, 1]> (deltas)
          b = Reshape (t, rows)
          best = ReduceMax <keepdims = 0> (b)
          e = Exp (b)
          i = Cast <to = 7> (e)
          b1 = Slice (i, k, k)
          batch = ReduceMax <keepdims = 0> (i)
          p = RoiAlign <output_height = 1, output_width = 1> (r, e, i)
          q = Reshape (p, flat)
          h = Gemm (q, g)
          y = Relu (h) }""".replace("= {}", "= {0.0}")
        .replace("float[8,3,1,1] c = {0.0}", f"float[8,3,1,1] c = {{{', '.join(['0.0'] * 24)}}}")
        .replace("float[4,8,1,1] d = {0.0}", f"float[4,8,1,1] d = {{{', '.join(['0.0'] * 32)}}}")
        .replace("float[8,2] g = {0.0}", f"float[8,2] g = {{{', '.join(['0.0'] * 16)}}}")
    )
    assert network_nodes(model) == ["f", "r", "deltas", "h"]


def test_a_product_of_activations_has_no_weights() -> None:
    model = named("g (float[2,2] x) => (float[2,2] y) { y = MatMul (x, x) }")
    with pytest.raises(ArtefactError, match="g: no node with weights"):
        network_nodes(model)


def test_the_exported_precision_is_a_parent(tmp_path: Path) -> None:
    model, found = load_exported(write_network_artefact(tmp_path / "x.onnx"))
    assert found == SPEC
    assert network_nodes(model) == ["Conv 3", "Conv 4"]


def test_a_foreign_graph_is_refused(tmp_path: Path) -> None:
    path = write_network_artefact(tmp_path / "x.onnx", metadata={})
    with pytest.raises(ArtefactError, match=r"x\.onnx: not an artefact of this pipeline .*stages\.export"):
        load_exported(path)


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_file_that_is_cut_off_is_refused(keep: float, tmp_path: Path) -> None:
    path = write_network_artefact(tmp_path / "x.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(ArtefactError, match=r"x\.onnx: not a complete ONNX file .*stages\.export"):
        load_exported(path)


def test_a_damaged_graph_inside_a_whole_file_is_refused(tmp_path: Path) -> None:
    path = write_network_artefact(tmp_path / "x.onnx")
    model = onnx.load_from_string(path.read_bytes().replace(b"Unsqueeze", b"Unsqueezf"))
    save_sealed(model, path)
    with pytest.raises(ArtefactError, match=r"(?s)x\.onnx: not a valid ONNX graph: .*export it again"):
        load_exported(path)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_another_precision_is_no_parent(precision: str, tmp_path: Path) -> None:
    metadata = {**SPEC.to_metadata(), "precision": json.dumps(precision)}
    with pytest.raises(
        ArtefactError, match=rf"its precision is {precision}; precisions are made from the fp32 artefact"
    ):
        load_exported(write_network_artefact(tmp_path / "x.onnx", metadata))


def test_a_quantised_graph_is_no_parent_whatever_it_says(tmp_path: Path) -> None:
    path = write_network_artefact(tmp_path / "x.onnx")
    model = onnx.load(path)
    model.graph.node.append(onnx.helper.make_node("QuantizeLinear", ["score", "level"], ["rounded"], "rounded"))
    save_sealed(model, path)
    with pytest.raises(ArtefactError, match=r"its precision is fp32 \(it holds \['QuantizeLinear'\]\)"):
        load_exported(path)
