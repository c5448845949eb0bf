from pathlib import Path

import pytest

from deploy.benchmark import Outcome
from deploy.errors import ArtefactError
from deploy.ladder import backend_run, benchmark, check_gates
from pipeline.errors import DatasetError, GateError, PipelineError, SettingsError
from pipeline.evaluation import evaluate_detections
from pipeline.records import BenchmarkRecord, Complexity, EvaluationRecord
from pipeline.settings import BenchmarkSettings, Gates
from pipeline.storage import sha256_of

OFF = Gates(benchmark_max_map_drop=None, benchmark_max_latency_ms=None)


@pytest.fixture(scope="module")
def torch_record(dataset_dir: Path) -> EvaluationRecord:
    """PyTorch found three of the four boxes of the test split."""
    boxes = [(10, [10, 10, 30, 20]), (20, [4, 20, 86, 40]), (30, [50, 2, 10, 48])]
    results = [{"image_id": image, "category_id": 7, "bbox": box, "score": 0.9} for image, box in boxes]
    return EvaluationRecord(
        model="tiny",
        recipe="hand_written",
        dataset="red",
        method="none",
        weights_sha256="1" * 64,
        published_ap=None,
        complexity=Complexity(parameters=1, flops=1, input_size=(32, 48)),
        accuracy=evaluate_detections(dataset_dir / "test.json", results, "test", None),
    )


@pytest.fixture(scope="module")
def settings() -> BenchmarkSettings:
    backends = ["onnxruntime", "onnxruntime-cuda", "openvino"]
    return BenchmarkSettings(backends=backends, batch_sizes=[1, 2], threads=1, warmup=1, iterations=3)


@pytest.fixture(scope="module")
def record(artefact: Path, dataset_dir: Path, torch_record: EvaluationRecord, settings) -> BenchmarkRecord:
    return benchmark("tiny", artefact, dataset_dir, "test", torch_record, settings)


def test_every_backend_is_measured_or_says_why_not(
    record: BenchmarkRecord, artefact: Path, torch_record, settings
) -> None:
    assert [run.backend for run in record.runs] == settings.backends
    assert [run.status for run in record.runs] == ["ok", "not run", "ok"]
    assert (record.sha256, record.file_size) == (sha256_of(artefact), artefact.stat().st_size)
    for run in (record.runs[0], record.runs[2]):
        assert run.accuracy is not None
        assert run.accuracy.numbers.ap == pytest.approx(100)
        assert run.map_drop == pytest.approx(record.torch_ap - 100)
        assert run.map_drop < -20
        assert [latency.batch_size for latency in run.latency] == [1, 2]
        assert (run.threads, run.precision, run.device) == (1, "fp32", "cpu")
    skipped = record.runs[1]
    assert "CUDA" in skipped.reason
    assert (skipped.accuracy, skipped.map_drop, skipped.latency, skipped.load_ms) == (None, None, [], None)


def test_gates_hold_and_break(record: BenchmarkRecord) -> None:
    check_gates(record, OFF)
    check_gates(record, Gates(benchmark_max_map_drop=0.5, benchmark_max_latency_ms=60_000))
    with pytest.raises(GateError) as caught:
        check_gates(record, Gates(benchmark_max_map_drop=-30, benchmark_max_latency_ms=1e-6))
    message = str(caught.value)
    for backend in ("onnxruntime", "openvino"):
        assert f"gates.benchmark_max_map_drop: {backend} loses -2" in message
        assert f"gates.benchmark_max_latency_ms: {backend} takes " in message
    assert "limit is -30" in message
    assert "(p50, batch 1), the limit is 1e-06" in message


def test_gate_without_a_number_is_broken(record: BenchmarkRecord) -> None:
    nothing = record.model_copy(update={"runs": [record.runs[1]]})
    check_gates(nothing, OFF)
    with pytest.raises(GateError, match=r"no backend ran here: onnxruntime-cuda: .*CUDA"):
        check_gates(nothing, Gates(benchmark_max_map_drop=0.5))


def test_drop_is_unknown_where_there_is_no_ap(torch_record: EvaluationRecord) -> None:
    run = backend_run("onnxruntime", Outcome(version="1", threads=1), torch_record.accuracy, torch_ap=None)
    assert (run.status, run.map_drop) == ("ok", None)


def test_unknown_backend_is_a_settings_error(artefact: Path, dataset_dir: Path, torch_record) -> None:
    with pytest.raises(SettingsError, match=r"benchmark\.backends: tensorboard: no such backend; known: .*openvino"):
        benchmark("tiny", artefact, dataset_dir, "test", torch_record, BenchmarkSettings(backends=["tensorboard"]))


def test_split_must_be_the_one_that_pytorch_was_measured_on(artefact, dataset_dir, torch_record, settings) -> None:
    with pytest.raises(PipelineError, match=r"accuracy is of the test split, evaluate.split asks for val"):
        benchmark("tiny", artefact, dataset_dir, "val", torch_record, settings)
    val = torch_record.model_copy(update={"accuracy": torch_record.accuracy.model_copy(update={"split": "val"})})
    with pytest.raises(DatasetError, match=r"has no split 'val', it has \['test'\]; change `evaluate\.split`"):
        benchmark("tiny", artefact, dataset_dir, "val", val, settings)


def test_failing_backend_stops_the_benchmark(broken_at_run_time: Path, dataset_dir, torch_record, settings) -> None:
    with pytest.raises(ArtefactError, match=r"broken\.onnx: its benchmark under onnxruntime failed"):
        benchmark("tiny", broken_at_run_time, dataset_dir, "test", torch_record, settings)


def test_missing_artefact_is_named_before_anything_runs(tmp_path: Path, dataset_dir, torch_record, settings) -> None:
    with pytest.raises(ArtefactError, match=r"gone\.onnx: cannot be read: No such file"):
        benchmark("tiny", tmp_path / "gone.onnx", dataset_dir, "test", torch_record, settings)
