"""A detector with deformable convolutions in ONNX: refused where the version lacks them, equal to PyTorch else."""

from pathlib import Path

import numpy as np
import pytest
import torch

from deploy.graph.export import export_onnx
from deploy.graph.exported_module import DeployableDetector
from pipeline.errors import RecipeError
from tests.deformable_detectors import deformable_detector
from tests.deploy.stock import spec


@pytest.fixture
def detector() -> DeployableDetector:
    """Of one block a stage: an export takes time by the node."""
    stock = deformable_detector("dcn")
    for stage in stock.backbone.res_layers:
        del stock.backbone.get_submodule(stage)[1:]
    return DeployableDetector(stock, spec(3, input_width=64, input_height=64, score_threshold=0.0))


def test_deformable_convolutions_need_opset_19(detector: DeployableDetector, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"layer2\.0\.conv2 is a deformable .* export\.opset is 18: set it to 19"):
        export_onnx(detector, tmp_path / "model.onnx", 18)


def test_onnx_runtime_runs_them_as_pytorch_does(detector: DeployableDetector, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    for layer in detector.modules():
        if hasattr(layer, "conv_offset"):
            torch.nn.init.normal_(layer.conv_offset.weight, std=0.2)
    export_onnx(detector, tmp_path / "model.onnx", 19)
    images = torch.randint(256, (3, 64, 64, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with torch.no_grad():
        expected = detector(images)
    session = onnxruntime.InferenceSession((tmp_path / "model.onnx").read_bytes())
    found = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    assert (expected.num_dets > 0).all()
    np.testing.assert_allclose(found[1], expected.scores.numpy(), atol=1e-5)
    np.testing.assert_array_equal(found[3], expected.num_dets.numpy())
