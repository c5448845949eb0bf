"""fp16: half precision inside the network and nowhere else."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from deploy.precision.fp16 import to_fp16
from deploy.precision.network import load_exported, network_nodes
from deploy.runtime.backends.ort import open_cpu
from tests.deploy.stock import noise_images, spec

HALF, FLOAT = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT


@pytest.fixture(scope="module")
def half(exported_gfl: Path) -> onnx.ModelProto:
    return to_fp16(load_exported(exported_gfl)[0])


def types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    found = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)}
    return found | {tensor.name: tensor.data_type for tensor in inferred.initializer}


def test_every_node_of_the_network_computes_in_half_and_no_other(exported_gfl: Path, half: onnx.ModelProto) -> None:
    inside, found = set(network_nodes(load_exported(exported_gfl)[0])), types(half)
    for node in half.graph.node:
        used = {found.get(name) for name in (*node.input, *node.output)}
        if node.name in inside:
            assert HALF in used
            assert FLOAT not in used or node.op_type == "Resize"
        elif node.op_type not in ("Cast", "Shape"):
            assert HALF not in used
    weights = [tensor for tensor in half.graph.initializer if tensor.data_type == HALF and len(tensor.dims) == 4]
    assert len(weights) > 20
    assert [value.type.tensor_type.elem_type for value in half.graph.output[:2]] == [FLOAT, FLOAT]


def test_each_border_is_crossed_once(half: onnx.ModelProto) -> None:
    found = types(half)
    casts = [(found.get(n.input[0]), found.get(n.output[0])) for n in half.graph.node if n.op_type == "Cast"]
    assert casts.count((FLOAT, HALF)) == 1, "the normalised image"
    assert casts.count((HALF, FLOAT)) == 10, "two outputs of five levels"


def test_constants_around_the_network_keep_their_value(exported_gfl: Path, half: onnx.ModelProto) -> None:
    before = {tensor.name: tensor for tensor in onnx.load(exported_gfl).graph.initializer}
    kept = [tensor for tensor in half.graph.initializer if tensor.name in before]
    assert {"mean", "std", "canvas"} <= {tensor.name for tensor in kept}
    assert all(tensor.SerializeToString() == before[tensor.name].SerializeToString() for tensor in kept)


def test_detections_stay_within_the_rounding_of_half_precision(
    exported_gfl: Path, half: onnx.ModelProto, tmp_path
) -> None:
    onnx.save(half, tmp_path / "half.onnx")
    images = noise_images(2).numpy()
    one, other = (open_cpu(path, spec(10), 1).run(images) for path in (exported_gfl, tmp_path / "half.onnx"))
    assert one.num_dets.min() > 5
    # Random weights give many boxes of nearly equal scores, whose order may change; the best one stays.
    np.testing.assert_allclose(other.scores[:, 0], one.scores[:, 0], atol=5e-3)
    np.testing.assert_allclose(other.boxes[:, 0], one.boxes[:, 0], atol=0.5)
    assert not np.array_equal(other.boxes, other.boxes.astype(np.float16).astype(np.float32)), "decoded in float32"


def test_the_model_itself_is_not_changed(exported_gfl: Path) -> None:
    model = load_exported(exported_gfl)[0]
    before = model.SerializeToString(deterministic=True)
    first, second = to_fp16(model), to_fp16(model)
    assert model.SerializeToString(deterministic=True) == before
    assert first.SerializeToString(deterministic=True) == second.SerializeToString(deterministic=True)
