"""The raw form gives what the head gives, in ONNX Runtime."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from deploy.graph.exported_module import DeployableDetector
from deploy.graph.raw_export import export_raw
from deploy.runtime.artefact import read_spec
from deploy.runtime.errors import ArtefactError
from pipeline.errors import RecipeError
from tests.deploy.stock import noise_images, spec, stock_detector, two_stage_detector

LEVELS = 5


@pytest.mark.parametrize(
    ("family", "kinds", "dynamic_size"), [("GFL", ("cls", "bbox"), True), ("FCOS", ("cls", "bbox", "quality"), False)]
)
def test_head_tensors(family: str, kinds: tuple[str, ...], dynamic_size: bool, tmp_path: Path) -> None:
    rule = {"resize_rule": "keep_ratio", "scale": (160, 96), "size_divisor": 32} if dynamic_size else {}
    detector = DeployableDetector(stock_detector(family), spec(10, **rule))
    path = tmp_path / "raw.onnx"
    export_raw(detector, path, 18)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == [f"{kind}_{i}" for kind in kinds for i in range(LEVELS)]
    sizes = [(128, 128), (96, 160)] if dynamic_size else [(128, 128)]
    for height, width in sizes:
        images = noise_images(3, height, width)
        with torch.no_grad():
            wanted = detector.detector.bbox_head(detector.detector.extract_feat(detector.normalise(images)))
        found = session.run(None, {"images": images.numpy()})
        for expected, output in zip((level for levels in wanted for level in levels), found, strict=True):
            np.testing.assert_allclose(output, expected.numpy(), atol=1e-3, rtol=1e-4)
    metadata = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    assert (metadata["head"], metadata["strides"]) == (f"{family}Head", [8, 16, 32, 64, 128])
    assert "nms_iou_threshold" not in metadata
    assert (metadata.get("scale"), metadata.get("size_divisor")) == (([160, 96], 32) if dynamic_size else (None, None))
    with pytest.raises(ArtefactError, match=r"raw\.onnx: not an artefact of this pipeline"):
        read_spec(path)


def test_a_two_stage_detector_has_no_raw_form(tmp_path: Path) -> None:
    detector = DeployableDetector(two_stage_detector(), spec(10))
    with pytest.raises(RecipeError, match="FasterRCNN: only a dense head has a raw form"):
        export_raw(detector, tmp_path / "raw.onnx", 18)
