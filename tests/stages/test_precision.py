from pathlib import Path

import pytest
import yaml

from deploy.runtime.artefact import read_spec
from pipeline.deploy_records import PrecisionRecord
from stages.precision import main
from tests.deploy.tiny import write_dataset, write_network_artefact

RECORD = Path("reports/precision/tiny.json")


def params(**calibration: object) -> str:
    content = {
        "data": {"name": "digits"},
        "teacher": {"config": "t.py"},
        "students": {"tiny": {"recipe": "s.py"}},
        "export": {"models": ["tiny"]},
        "precision": {"calibration": {"images": 2, **calibration}, "search": {"images": 2}},
        "benchmark": {"backends": ["onnxruntime"]},
    }
    return yaml.safe_dump(content)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that a finished export leaves in the project's root."""
    monkeypatch.chdir(tmp_path)
    write_dataset(Path("data/prepared"), [(10, 10, 40, 30), (4, 20, 90, 60)], splits=("train", "val", "test"))
    Path("artefacts").mkdir()
    write_network_artefact(Path("artefacts/tiny.onnx"))
    Path("params.yaml").write_text(params())


def test_writes_the_artefacts_and_the_record() -> None:
    main(["--model", "tiny"])
    record = PrecisionRecord.read(RECORD)
    assert (record.model, record.parent, record.calibration.images) == ("tiny", "artefacts/tiny.onnx", 2)
    assert [read_spec(Path(item.file)).precision for item in record.artefacts] == ["fp16", "int8", "int8_symmetric"]


@pytest.mark.parametrize("split", ["test", "val"])
def test_calibrating_on_what_is_measured_on_is_refused(split: str) -> None:
    Path("params.yaml").write_text(params(split=split))
    with pytest.raises(SystemExit, match=rf"precision\.calibration\.split: Input should be 'train' \(got '{split}'\)"):
        main(["--model", "tiny"])
    assert not RECORD.exists()


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("artefacts/tiny.onnx", r"artefacts/tiny\.onnx: cannot be read: No such file .*stages\.export"),
        ("data/prepared/dataset.json", r"data/prepared/dataset\.json: no such record"),
        ("data/prepared/images/test/1.png", r"images/test/1\.png: no such image of the calibration set"),
    ],
)
def test_missing_input_is_named(missing: str, message: str) -> None:
    Path(missing).unlink()
    with pytest.raises(SystemExit, match=message):
        main(["--model", "tiny"])
    assert not RECORD.exists()
    assert not list(Path("artefacts").glob("tiny.*.onnx"))
