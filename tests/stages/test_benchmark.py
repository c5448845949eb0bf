import json
from pathlib import Path

import pytest
import yaml

from pipeline.deploy_records import BenchmarkRecord
from pipeline.evaluation import evaluate_detections
from pipeline.records import Complexity, EvaluationRecord
from pipeline.storage import write_atomic
from stages.benchmark import main
from tests.deploy.tiny import write_artefact, write_dataset

QUICK = {"threads": 1, "warmup": 1, "iterations": 2}
RECORD = Path("reports/benchmark/twin.json")


def params(**gates: float | None) -> dict:
    return {
        "data": {"name": "digits"},
        "teacher": {"config": "t.py"},
        "students": {"twin": {"recipe": "s.py"}},
        "export": {"models": ["twin"]},
        "benchmark": {"precisions": ["fp32"], "backends": ["onnxruntime"], "batch_sizes": [1], **QUICK},
        "gates": gates,
    }


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that a finished export and evaluation leave in the project's root."""
    monkeypatch.chdir(tmp_path)
    write_dataset(Path("data/prepared"), [(10, 10, 40, 30), (4, 20, 90, 60)])
    Path("artefacts").mkdir()
    write_artefact(Path("artefacts/twin.onnx"))
    result = {"image_id": 10, "category_id": 7, "bbox": [10, 10, 30, 20], "score": 0.9}
    EvaluationRecord(
        model="twin",
        recipe="twin",
        dataset="red",
        method="none",
        weights_sha256="1" * 64,
        published_ap=None,
        complexity=Complexity(parameters=1, flops=1, input_size=(32, 48)),
        accuracy=evaluate_detections(Path("data/prepared/test.json"), [result], "test", None),
    ).write(Path("reports/evaluation/twin.json"))
    write_atomic(Path("reports/detections/twin.json"), json.dumps([result]))
    Path("params.yaml").write_text(yaml.safe_dump(params()))


def test_writes_the_record_of_the_model() -> None:
    main(["--model", "twin"])
    record = BenchmarkRecord.read(RECORD)
    assert (record.model, record.artefacts[0].file) == ("twin", "artefacts/twin.onnx")
    assert [run.status for run in record.runs] == ["ok"]
    assert record.runs[0].accuracy.numbers.ap == pytest.approx(100)


def test_broken_gate_fails_after_the_record_is_written() -> None:
    Path("params.yaml").write_text(yaml.safe_dump(params(benchmark_max_latency_ms=1e-6)))
    with pytest.raises(
        SystemExit, match=r"benchmark_max_latency_ms: .* fp32 under onnxruntime, takes .* limit is 1e-06"
    ):
        main(["--model", "twin"])
    assert BenchmarkRecord.read(RECORD).model == "twin"


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("artefacts/twin.onnx", r"artefacts/twin\.onnx: cannot be read: No such file"),
        ("reports/evaluation/twin.json", r"reports/evaluation/twin\.json: no such record"),
        ("reports/detections/twin.json", r"reports/detections/twin\.json: no such detections"),
        ("data/prepared/dataset.json", r"data/prepared/dataset\.json: no such record"),
    ],
)
def test_missing_input_is_named(missing: str, message: str) -> None:
    Path(missing).unlink()
    with pytest.raises(SystemExit, match=message):
        main(["--model", "twin"])
    assert not RECORD.exists()
