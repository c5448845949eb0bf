from pathlib import Path

import pytest

from deploy.ladder.fastest import compare_models
from pipeline.deploy_records import BackendRun, BenchmarkRecord
from pipeline.deploy_settings import BenchmarkSettings, CompareSettings
from pipeline.layout import artefact_file
from tests.deploy.measured import backend_run, timed_run
from tests.deploy.tiny import write_dataset, write_network_artefact

SETTINGS = BenchmarkSettings(backends=["onnxruntime", "openvino"], batch_sizes=[2, 1], threads=1, pin=False)
QUICK = CompareSettings(rounds=3, calls=1)


def record(model: str, *runs: BackendRun) -> BenchmarkRecord:
    return BenchmarkRecord(model=model, images=4, torch_ap=None, torch_interval=None, artefacts=[], runs=list(runs))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for model in ("teacher", "twin"):
        artefact_file(model).parent.mkdir(exist_ok=True)
        write_network_artefact(artefact_file(model))
    return tmp_path


def test_the_fastest_rung_of_each_takes_part_and_the_teacher_is_the_reference(project: Path, dataset_dir: Path) -> None:
    records = [
        record("twin", timed_run("onnxruntime", 2.0), timed_run("openvino", 1.0)),
        record("teacher", backend_run("onnxruntime-cuda"), timed_run("onnxruntime", 5.0), timed_run("openvino", 6.0)),
        record("crosskd", backend_run("onnxruntime-cuda")),
    ]
    found = compare_models(records, dataset_dir, "test", SETTINGS, QUICK)
    assert [(each.model, each.backend) for each in found.models] == [("teacher", "onnxruntime"), ("twin", "openvino")]
    assert (found.batch_size, found.rounds, found.calls) == (1, 3, 1)
    assert found.models[0].times_as_fast == 1
    assert all(each.milliseconds > 0 for each in found.models)


def test_without_a_test_split_the_images_are_val_s(project: Path) -> None:
    data = write_dataset(project / "prepared", [(10, 10, 40, 30)], splits=("val",))
    records = [record("teacher", timed_run("onnxruntime", 5.0)), record("twin", timed_run("onnxruntime", 5.0))]
    assert len(compare_models(records, data, "test", SETTINGS, QUICK).models) == 2


def test_one_model_alone_is_compared_with_nothing(project: Path, dataset_dir: Path) -> None:
    found = compare_models([record("teacher", timed_run("onnxruntime", 5.0))], dataset_dir, "test", SETTINGS, QUICK)
    assert found.models == []
