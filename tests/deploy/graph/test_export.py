"""The exported file in every backend here, and what it says about itself."""

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from deploy.graph.export import check_gates, check_images, export_onnx, record_of
from deploy.graph.export_check import check_export
from deploy.graph.exported_module import DeployableDetector
from deploy.graph.pytorch_backend import PytorchBackend
from deploy.graph.rounding import rounded_otherwise
from deploy.runtime.artefact import read_spec
from deploy.runtime.backends import open_backend
from pipeline.deploy_records import ExportCheck, ExportRecord
from pipeline.errors import DatasetError, GateError, SettingsError
from pipeline.settings import Gates
from tests.deploy.stock import noise_images, spec, stock_detector
from tests.deploy.tiny import write_artefact, write_dataset

CHECK = ExportCheck(images=4, detections=50, matched=1.0, max_box_difference_px=0.5, max_score_difference=0.001)


@pytest.fixture(scope="module")
def detector() -> DeployableDetector:
    return DeployableDetector(stock_detector(), spec(10))


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_backends_say_what_pytorch_says(
    detector: DeployableDetector, exported_gfl: Path, name: str, batch: int
) -> None:
    images = noise_images(batch).numpy()
    images[0] //= 2
    expected = PytorchBackend(detector).run(images)
    found = open_backend(name, exported_gfl, detector.spec, threads=1).run(images)
    assert expected.num_dets.min() > 5
    np.testing.assert_array_equal(found.num_dets, expected.num_dets)
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)


def test_the_check_takes_rounding_for_what_it_is(detector: DeployableDetector, exported_gfl: Path) -> None:
    # An even picture gives one score in many places, so that rounding alone decides which boxes stay.
    images = [*noise_images(2).numpy(), np.full((128, 128, 3), 114, np.uint8), np.zeros((128, 128, 3), np.uint8)]
    moved = DeployableDetector(rounded_otherwise(detector.detector, seed=1), detector.spec)
    check = check_export(moved, exported_gfl, images)
    assert (check.images, check.matched) == (4, 1.0)
    assert check.detections > 100
    assert check.max_box_difference_px is not None
    assert check.max_box_difference_px < 0.01
    assert check.max_score_difference is not None
    assert check.max_score_difference < 1e-4


def test_the_check_does_not_take_other_weights_for_rounding(detector: DeployableDetector, exported_gfl: Path) -> None:
    other = copy.deepcopy(detector.detector)
    with torch.no_grad():
        for weights in other.bbox_head.gfl_reg.parameters():
            weights.mul_(1.02)
    check = check_export(DeployableDetector(other, detector.spec), exported_gfl, list(noise_images(2).numpy()))
    assert check.rounding_chose == 0
    assert check.max_box_difference_px is not None
    assert check.max_box_difference_px > 0.05


def test_file_is_self_contained_and_describes_itself(detector: DeployableDetector, exported_gfl: Path) -> None:
    assert [path.name for path in exported_gfl.parent.iterdir()] == ["gfl.onnx"]
    assert read_spec(exported_gfl) == detector.spec
    record = record_of("tiny", exported_gfl, 18, CHECK)
    assert {tensor.name: (tensor.dtype, tensor.shape) for tensor in (*record.inputs, *record.outputs)} == {
        "images": ("uint8", ["batch", 128, 128, 3]),
        "boxes": ("float32", ["batch", 100, 4]),
        "scores": ("float32", ["batch", 100]),
        "labels": ("int64", ["batch", 100]),
        "num_dets": ("int64", ["batch"]),
    }
    assert json.loads(record.metadata["classes"]) == list(detector.spec.classes)
    assert record.file_size == exported_gfl.stat().st_size
    model = onnx.load(exported_gfl)
    assert [opset.version for opset in model.opset_import] == [18]
    assert model.ir_version == 8  # all that opset 18 needs
    assert "NonMaxSuppression" in {node.op_type for node in model.graph.node}


def test_file_names_nothing_of_this_machine(exported_gfl: Path) -> None:
    content = exported_gfl.read_bytes()
    assert str(Path(__file__).parents[3]).encode() not in content
    assert b"site-packages" not in content


def test_export_is_silent_and_repeatable(
    detector: DeployableDetector, exported_gfl: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        export_onnx(detector, tmp_path / "again.onnx", opset=18)
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "again.onnx").read_bytes() == exported_gfl.read_bytes()


def test_unknown_opset_leaves_the_old_file(detector: DeployableDetector, tmp_path: Path) -> None:
    path = tmp_path / "old.onnx"
    path.write_text("old")
    with pytest.raises(SettingsError, match=r"export\.opset: 99 is unknown, the installed onnx knows up to \d\d"):
        export_onnx(detector, path, opset=99)
    assert path.read_text() == "old"


def test_check_images_are_spread_over_the_split(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", [(10, 10, 40, 30)] * 7)
    folder = dataset / "images/test"
    assert check_images(dataset, "test", 3) == [folder / "1.png", folder / "3.png", folder / "5.png"]
    assert check_images(dataset, "test", 50) == [folder / f"{number}.png" for number in range(1, 8)]


def test_missing_split_and_empty_split_are_named(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "data", [])
    with pytest.raises(DatasetError, match=r"data has no split 'val', it has \['test'\]"):
        check_images(dataset, "val", 3)
    with pytest.raises(DatasetError, match=r"test\.json: no images"):
        check_images(dataset, "test", 3)


@pytest.fixture
def record(tmp_path: Path) -> ExportRecord:
    return record_of("twin", write_artefact(tmp_path / "twin.onnx"), 18, CHECK)


def test_gates_hold(record: ExportRecord) -> None:
    check_gates(record, Gates())
    check_gates(record, Gates(export_max_box_difference_px=0.5, export_max_score_difference=0.001))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"export_max_box_difference_px": 0.4}, r"export_max_box_difference_px: 0\.5 is above the limit 0\.4"),
        ({"export_max_score_difference": 0.0005}, r"export_max_score_difference: 0\.001 is above the limit 0\.0005"),
    ],
)
def test_broken_gate_names_number_and_limit(record: ExportRecord, limits: dict[str, Any], message: str) -> None:
    with pytest.raises(GateError, match=message):
        check_gates(record, Gates(**limits))


def test_every_broken_gate_is_listed(record: ExportRecord) -> None:
    worse = CHECK.model_copy(update={"matched": 0.5, "max_box_difference_px": 7.0})
    with pytest.raises(
        GateError, match=r"twin\.onnx(?s:.)*box_difference_px: 7 (?s:.)*matched: 0\.5 is below the limit 0\.99"
    ):
        check_gates(record.model_copy(update={"check": worse}), Gates())


def test_nothing_to_compare_is_no_pass(record: ExportRecord, tmp_path: Path) -> None:
    nothing = ExportCheck(images=4, detections=0, matched=None, max_box_difference_px=None, max_score_difference=None)
    empty = record.model_copy(update={"check": nothing})
    with pytest.raises(GateError, match="found anything in 4 images, so nothing was compared"):
        check_gates(empty, Gates())
    check_gates(empty, Gates(export_min_matched=None))
    (tmp_path / "record.json").write_text(empty.model_dump_json())
    assert ExportRecord.read(tmp_path / "record.json") == empty


def test_boxes_that_have_no_partner_break_one_gate(record: ExportRecord) -> None:
    strange = ExportCheck(images=4, detections=9, matched=0, max_box_difference_px=None, max_score_difference=None)
    with pytest.raises(GateError, match=r"export_min_matched: 0 is below the limit 0\.99") as caught:
        check_gates(record.model_copy(update={"check": strange}), Gates())
    assert str(caught.value).count("gates.export") == 1
