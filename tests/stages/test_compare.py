from pathlib import Path

import pytest
import yaml

from pipeline.deploy_records import ArtefactFile, BenchmarkRecord, ComparisonRecord
from stages.compare import main
from tests.deploy.measured import timed_run
from tests.deploy.tiny import write_dataset, write_network_artefact

RECORD = Path("reports/comparison.json")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that finished benchmarks leave in the project's root."""
    monkeypatch.chdir(tmp_path)
    write_dataset(Path("data/prepared"), [(10, 10, 40, 30), (4, 20, 90, 60)])
    Path("artefacts").mkdir()
    for model in ("twin", "teacher"):
        path = write_network_artefact(Path(f"artefacts/{model}.onnx"))
        file = ArtefactFile(precision="fp32", file=path.as_posix(), sha256="0" * 64, file_size=1)
        record = BenchmarkRecord(
            model=model,
            images=4,
            torch_ap=None,
            torch_interval=None,
            artefacts=[file],
            runs=[timed_run("onnxruntime", 1.0)],
        )
        record.write(Path(f"reports/benchmark/{model}.json"))
    params = {
        "data": {"name": "digits"},
        "teacher": {"config": "t.py"},
        "students": {"twin": {"recipe": "s.py"}},
        "export": {"models": ["twin", "teacher"]},
        "benchmark": {"backends": ["onnxruntime"], "threads": 1, "pin": False},
        "compare": {"rounds": 2, "calls": 1},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))


def test_writes_one_record_of_all_models() -> None:
    main([])
    record = ComparisonRecord.read(RECORD)
    assert [each.model for each in record.rungs] == ["teacher", "twin"]
    assert ([group.rounds for group in record.groups], record.rungs[0].calls, record.batch_size) == ([2], 1, 1)


def test_a_model_that_was_not_benchmarked_is_named() -> None:
    Path("reports/benchmark/twin.json").unlink()
    with pytest.raises(SystemExit, match=r"reports/benchmark/twin\.json: no such record"):
        main([])
