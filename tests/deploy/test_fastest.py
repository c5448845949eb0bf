from pathlib import Path

import pytest

from deploy.fastest import compare_models
from pipeline.deploy_records import BackendRun, BenchmarkRecord, Latency
from pipeline.deploy_settings import BenchmarkSettings, CompareSettings
from pipeline.layout import artefact_file
from tests.deploy.tiny import write_network_artefact

SETTINGS = BenchmarkSettings(backends=["onnxruntime", "openvino"], batch_sizes=[2, 1], threads=1, pin=False)
QUICK = CompareSettings(rounds=3, calls=1)


def latency(batch_size: int, p50: float) -> Latency:
    zeros = {name: 0 for name in Latency.model_fields if name not in ("batch_size", "p50", "gpu", "noisy")}
    return Latency(batch_size=batch_size, p50=p50, noisy=False, gpu=None, **zeros)


def run(backend: str, p50: float | None) -> BackendRun:
    return BackendRun(
        artefact="fp32",
        backend=backend,
        version="1",
        device="cpu",
        precision="fp32",
        status="ok" if p50 else "not run",
        reason="",
        threads=1,
        cores=[],
        accuracy=None,
        map_drop=None,
        map_drop_interval=None,
        worst_class=None,
        boxes=None,
        latency=[latency(1, p50), latency(2, 0.1)] if p50 else [],
        sweep_end="complete",
        sweep_reason="",
        gpu_unseen="",
        load_ms=None,
        peak_memory_bytes=None,
    )


def record(model: str, *runs: BackendRun) -> BenchmarkRecord:
    return BenchmarkRecord(model=model, torch_ap=None, artefacts=[], runs=list(runs))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for model in ("teacher", "twin"):
        artefact_file(model).parent.mkdir(exist_ok=True)
        write_network_artefact(artefact_file(model))
    return tmp_path


def test_the_fastest_rung_of_each_takes_part_and_the_teacher_is_the_reference(project: Path, dataset_dir: Path) -> None:
    records = [
        record("twin", run("onnxruntime", 2.0), run("openvino", 1.0)),
        record("teacher", run("onnxruntime-cuda", None), run("onnxruntime", 5.0), run("openvino", 6.0)),
        record("crosskd", run("onnxruntime-cuda", None)),
    ]
    found = compare_models(records, dataset_dir, "test", SETTINGS, QUICK)
    assert [(each.model, each.backend) for each in found.models] == [("teacher", "onnxruntime"), ("twin", "openvino")]
    assert (found.batch_size, found.rounds, found.calls) == (1, 3, 1)
    assert found.models[0].times_as_fast == 1
    assert all(each.milliseconds > 0 for each in found.models)


def test_one_model_alone_is_compared_with_nothing(project: Path, dataset_dir: Path) -> None:
    found = compare_models([record("teacher", run("onnxruntime", 5.0))], dataset_dir, "test", SETTINGS, QUICK)
    assert found.models == []
