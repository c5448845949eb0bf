"""From the exported file to every precision."""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import pytest

import deploy
from deploy.precision.precisions import PRECISIONS, make_precisions
from deploy.runtime.artefact import read_spec
from deploy.runtime.onnx_file import read_metadata
from pipeline.deploy_records import CalibrationRecord, LayerSearch, PrecisionRecord
from pipeline.deploy_settings import CalibrationSettings, PrecisionSettings, SearchSettings
from pipeline.errors import DatasetError
from tests.deploy.tiny import write_dataset, write_network_artefact

SETTINGS = PrecisionSettings(calibration=CalibrationSettings(images=4), search=SearchSettings(images=3))
BOXES = [(x, 10, x + 20, 40) for x in range(0, 60, 10)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_dataset(folder / "prepared", BOXES, splits=("train", "val"))
    write_network_artefact(folder / "tiny.onnx")
    return folder


@pytest.fixture(scope="module")
def record(root: Path) -> PrecisionRecord:
    return make_precisions(root / "tiny.onnx", root / "prepared", SETTINGS, root)


def test_every_precision_is_a_file_that_says_what_it_is(root: Path, record: PrecisionRecord) -> None:
    parent = hashlib.sha256((root / "tiny.onnx").read_bytes()).hexdigest()
    assert (record.model, record.parent_sha256) == ("tiny", parent)
    assert [item.precision for item in record.artefacts] == list(PRECISIONS) == ["fp16", "int8", "int8_symmetric"]
    for item in record.artefacts:
        path = root / item.file
        assert item.file == f"artefacts/tiny.{item.precision}.onnx"
        assert item.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert item.file_size == path.stat().st_size
        assert read_spec(path).precision == item.precision
        metadata = read_metadata(path)
        assert json.loads(metadata["parent_sha256"]) == parent
        if item.precision == "fp16":
            assert (item.search, "calibration" in metadata) == (None, False)
        else:
            assert CalibrationRecord.model_validate_json(metadata["calibration"]) == record.calibration
            assert LayerSearch.model_validate_json(metadata["layer_search"]) == item.search


def test_precisions_of_a_dynamic_size_take_every_size(tmp_path: Path, red_box) -> None:
    write_dataset(tmp_path / "prepared", BOXES, splits=("train", "val"))
    write_network_artefact(tmp_path / "tiny.onnx", dynamic_size=True)
    make_precisions(tmp_path / "tiny.onnx", tmp_path / "prepared", SETTINGS, tmp_path)
    for precision in ("int8", "int8_symmetric"):
        detector = deploy.load(tmp_path / f"artefacts/tiny.{precision}.onnx", "onnxruntime", threads=1)
        assert detector.spec.dynamic_size
        landscape, portrait = detector([red_box(64, 96, (30, 10, 50, 20)), red_box(96, 64, (30, 10, 50, 30))])
        np.testing.assert_allclose(landscape.boxes, [[30, 10, 50, 20]], atol=2)
        np.testing.assert_allclose(portrait.boxes, [[30, 10, 50, 30]], atol=2)


# The layers of this network differ by a factor of 100,000, which is beyond float16: fp16 is tested on real detectors.
@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("precision", ["int8", "int8_symmetric"])
def test_every_file_finds_the_box(precision: str, backend: str, root: Path, record: PrecisionRecord, red_box) -> None:
    detector = deploy.load(root / f"artefacts/tiny.{precision}.onnx", backend, threads=1)
    found = detector(red_box(64, 96, (30, 10, 50, 20)))
    assert found.boxes.tolist() == [[30, 10, 50, 20]]


def test_equal_inputs_give_equal_files(root: Path, record: PrecisionRecord) -> None:
    assert make_precisions(root / "tiny.onnx", root / "prepared", SETTINGS, root) == record


def test_a_failure_leaves_earlier_files_as_they_are(root: Path, record: PrecisionRecord, tmp_path: Path) -> None:
    without_train = write_dataset(tmp_path / "prepared", BOXES, splits=("val",))
    with pytest.raises(DatasetError, match="has no split 'train'"):
        make_precisions(root / "tiny.onnx", without_train, SETTINGS, root)
    assert {onnx.load(root / item.file).ir_version for item in record.artefacts} == {8}
    assert len(list((root / "artefacts").iterdir())) == 3
