"""RTMDet's levels share convolutions and have batch norms of their own: folded apart in the artefact, in every form."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from deploy.engines.portable import read_portable
from deploy.engines.triton import Serving, write_repository
from deploy.graph.export import export_onnx
from deploy.graph.exported_module import DeployableDetector
from deploy.graph.pytorch_backend import PytorchBackend
from deploy.precision.calibration import activation_ranges
from deploy.precision.fp16 import to_fp16
from deploy.precision.network import load_exported
from deploy.precision.quantisation import CALIBRATED, FORMS, Quantiser
from deploy.runtime.artefact import read_spec
from deploy.runtime.backends import open_backend
from tests.deploy.stock import noise_images, spec, stock_detector
from tests.deploy.tiny import save_sealed

pytestmark = pytest.mark.slow
IMAGES = noise_images(2).numpy()


@pytest.fixture(scope="module")
def detector() -> DeployableDetector:
    return DeployableDetector(stock_detector("RTMDet"), spec(10))


@pytest.fixture(scope="module")
def exported(detector: DeployableDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "tiny.onnx"
    export_onnx(detector, path, opset=18)
    return path


def test_every_level_has_weights_of_its_own_and_no_batch_norm_is_left(
    detector: DeployableDetector, exported: Path
) -> None:
    graph = onnx.load(exported).graph
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    weights = {tensor.name for tensor in graph.initializer if len(tensor.dims) == 4}
    users = Counter(name for node in graph.node for name in node.input if name in weights)
    assert set(users.values()) == {1}
    head = detector.detector.bbox_head
    assert head.cls_convs[0][0].conv is head.cls_convs[2][0].conv  # the detector itself is left as it was


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_backends_say_what_pytorch_says(detector: DeployableDetector, exported: Path, name: str) -> None:
    wanted = PytorchBackend(detector).run(IMAGES)
    found = open_backend(name, exported, read_spec(exported), threads=1).run(IMAGES)
    np.testing.assert_array_equal(found.num_dets, wanted.num_dets)
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-2)


def test_the_portable_form_and_a_triton_repository(exported: Path, tmp_path: Path) -> None:
    save_sealed(read_portable(exported, passes=32), tmp_path / "portable.onnx")
    standard, portable = (
        open_backend("onnxruntime", path, read_spec(path), threads=1).run(IMAGES)
        for path in (exported, tmp_path / "portable.onnx")
    )
    for output in ("boxes", "scores", "labels", "num_dets"):
        np.testing.assert_array_equal(getattr(standard, output), getattr(portable, output))
    folder = write_repository(exported, tmp_path / "repository", Serving(gpu=False))
    assert (folder / "1/model.onnx").read_bytes() == exported.read_bytes()


@pytest.mark.parametrize(("precision", "share"), [("fp16", 0.95), ("int8", 0.75), ("int8_symmetric", 0.75)])
def test_every_precision_finds_most_boxes(exported: Path, tmp_path: Path, precision: str, share: float) -> None:
    model, found = load_exported(exported)
    graph = to_fp16(model) if precision == "fp16" else None
    if graph is None:
        pictures = [tmp_path / f"{number}.png" for number in range(2)]
        for path, image in zip(pictures, IMAGES, strict=True):
            cv2.imwrite(str(path), image)
        ranges = activation_ranges(model, found, pictures, CALIBRATED)
        graph = Quantiser(model, ranges, FORMS[precision]).keeping([])
    onnx.helper.set_model_props(graph, replace(found, precision=precision).to_metadata())
    save_sealed(graph, tmp_path / "it.onnx")
    wanted, got = (
        open_backend("onnxruntime", path, read_spec(path), threads=1).run(IMAGES)
        for path in (exported, tmp_path / "it.onnx")
    )
    for image in range(2):
        count, others = wanted.num_dets[image], got.num_dets[image]
        assert count > 20
        ious = overlaps(wanted.boxes[image, :count], got.boxes[image, :others])
        same = wanted.labels[image, :count, None] == got.labels[image, None, :others]
        assert ((ious > 0.8) & same).any(axis=1).mean() > share


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """IoU of every pair."""
    corners = np.maximum(one[:, None, :2], other[:, :2]), np.minimum(one[:, None, 2:], other[:, 2:])
    common = (corners[1] - corners[0]).clip(0).prod(axis=-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=-1) for boxes in (one, other)]
    return common / (areas[0][:, None] + areas[1] - common)
