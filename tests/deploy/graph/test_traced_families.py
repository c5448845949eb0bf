"""Families with operators of their own in the artefact: the exported file in every precision."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from deploy.engines.portable import read_portable
from deploy.graph.export import export_onnx
from deploy.graph.exported_module import DeployableDetector
from deploy.graph.pytorch_backend import PytorchBackend
from deploy.precision.calibration import activation_ranges
from deploy.precision.fp16 import to_fp16
from deploy.precision.network import load_exported
from deploy.precision.quantisation import CALIBRATED, FORMS, Quantiser
from deploy.runtime.artefact import read_spec
from deploy.runtime.backends import open_backend
from deploy.runtime.errors import NoPortableForm
from deploy.runtime.matching import pairwise_iou
from pipeline.errors import ExportError
from tests.deploy.stock import DEFORMABLE, noise_images, spec, stock_detector
from tests.deploy.tiny import save_sealed

# An export takes some seconds.
FAMILIES = [pytest.param(family, marks=pytest.mark.slow) for family in (*DEFORMABLE, "PAA")]
IMAGES = noise_images(2).numpy()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traced")


@cache
def exported(family: str, folder: Path) -> tuple[DeployableDetector, Path]:
    detector, path = DeployableDetector(stock_detector(family), spec(10)), folder / f"{family}.onnx"
    export_onnx(detector, path, opset=19)
    return detector, path


def run(path: Path, images: Any = IMAGES) -> Any:
    return open_backend("onnxruntime", path, read_spec(path), threads=1).run(images)


@pytest.mark.parametrize("family", FAMILIES)
def test_onnx_runtime_says_what_pytorch_says_for_any_number_of_images(family: str, folder: Path) -> None:
    detector, path = exported(family, folder)
    for images in (IMAGES[:1], np.concatenate([IMAGES, IMAGES[:1, ::-1]])):
        wanted, found = PytorchBackend(detector).run(images), run(path, images)
        assert wanted.num_dets.min() > 20
        np.testing.assert_array_equal(found.num_dets, wanted.num_dets)
        np.testing.assert_array_equal(found.labels, wanted.labels)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-5)
        np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-2)


def saved(graph: onnx.ModelProto, path: Path, precision: str) -> Path:
    metadata = replace(read_spec(path), precision=precision).to_metadata()
    onnx.helper.set_model_props(graph, metadata)
    save_sealed(graph, path.with_suffix(f".{precision}.onnx"))
    return path.with_suffix(f".{precision}.onnx")


@pytest.mark.parametrize("family", FAMILIES)
def test_fp16_finds_most_boxes(family: str, folder: Path) -> None:
    _, path = exported(family, folder)
    wanted, got = run(path), run(saved(to_fp16(load_exported(path)[0]), path, "fp16"))
    for image in range(2):
        count, others = wanted.num_dets[image], got.num_dets[image]
        ious = pairwise_iou(wanted.boxes[image, :count], got.boxes[image, :others])
        same = wanted.labels[image, :count, None] == got.labels[image, None, :others]
        assert ((ious > 0.8) & same).any(axis=1).mean() > 0.9


@pytest.mark.parametrize("family", FAMILIES)
def test_int8_runs_and_leaves_alone_what_is_made_of_boxes(family: str, folder: Path) -> None:
    # Random layers that sample where others say amplify a rounding too much for detections to be compared.
    _, path = exported(family, folder)
    (model, found), pictures = load_exported(path), [folder / f"{number}.png" for number in range(2)]
    for picture, image in zip(pictures, IMAGES, strict=True):
        cv2.imwrite(str(picture), image)
    graph = Quantiser(model, activation_ranges(model, found, pictures, CALIBRATED), FORMS["int8"]).keeping([])
    makers = {name: node for node in graph.graph.node for name in node.output}
    offsets = [makers[node.input[2]] for node in graph.graph.node if node.op_type == "DeformConv"]
    assert bool(offsets) == (family in DEFORMABLE)
    sampled_by_boxes = [node for node in offsets if family == "VFNet"]
    assert all(node.op_type == "Concat" for node in sampled_by_boxes)
    inputs = {makers[name].op_type for node in sampled_by_boxes for name in node.input}
    assert "DequantizeLinear" not in inputs
    assert run(saved(graph, path, "int8")).num_dets.min() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_a_portable_form_says_the_same_or_there_is_none(family: str, folder: Path) -> None:
    _, path = exported(family, folder)
    if family in DEFORMABLE:
        with pytest.raises(NoPortableForm, match=r"deformable convolutions, an operator that TensorRT does not have"):
            read_portable(path, passes=32)
        return
    save_sealed(read_portable(path, passes=32), folder / "portable.onnx")
    found, wanted = run(folder / "portable.onnx"), run(path)
    for output in ("boxes", "scores", "labels", "num_dets"):
        np.testing.assert_array_equal(getattr(found, output), getattr(wanted, output))


@pytest.mark.parametrize("family", DEFORMABLE)
def test_an_older_version_of_onnx_is_refused(family: str, tmp_path: Path) -> None:
    detector = DeployableDetector(stock_detector(family), spec(10))
    with pytest.raises(ExportError, match=r"bbox_head.*deformable.* export\.opset is 18: set it to 19"):
        export_onnx(detector, tmp_path / "model.onnx", 18)
