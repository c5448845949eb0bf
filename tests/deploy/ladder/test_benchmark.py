import json
from pathlib import Path

import numpy as np
import pytest

from deploy.ladder.benchmark import Reference, benchmark, check_gates, measure_rung, read_reference, rungs
from deploy.precision.precisions import make_precisions
from deploy.runtime.errors import ArtefactError
from deploy.runtime.split import Split
from deploy.timing.worker import Outcome
from pipeline.deploy_records import BackendRun, BenchmarkRecord
from pipeline.deploy_settings import BenchmarkSettings, PrecisionSettings
from pipeline.errors import DatasetError, GateError, PipelineError, SettingsError
from pipeline.evaluation import evaluate_detections
from pipeline.records import Complexity, EvaluationRecord
from pipeline.settings import EvaluateSettings, Gates
from pipeline.storage import sha256_of
from tests.deploy.columns import columns
from tests.deploy.measured import timed_run
from tests.deploy.tiny import write_dataset, write_network_artefact

LIMITS = {"fp32": None, "bf16": None, "fp16": None, "int8": None, "int8_symmetric": None}
OFF = Gates(benchmark_max_map_drop=LIMITS, benchmark_max_latency_ms=None)
BOXES = [(10, 10, 40, 30), (4, 20, 90, 60), (50, 2, 60, 50), (0, 0, 20, 20)]
QUICK = {"batch_sizes": [1, 2], "threads": 1, "warmup": 1, "iterations": 3}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("ladder") / "prepared", BOXES, splits=("train", "val", "test"))


@pytest.fixture(scope="module")
def artefacts(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("project")
    exported = write_network_artefact(root / "tiny.onnx")
    made = make_precisions(exported, dataset, PrecisionSettings(), root)
    return {"fp32": exported, **{item.precision: root / item.file for item in made.artefacts}}


@pytest.fixture(scope="module")
def torch(dataset: Path) -> Reference:
    """PyTorch found three of the four boxes of the test split, one of them a pixel too narrow."""
    boxes = [(10, [10, 10, 29, 20]), (20, [4, 20, 86, 40]), (30, [50, 2, 10, 48])]
    results = [{"image_id": image, "category_id": 7, "bbox": box, "score": 0.9} for image, box in boxes]
    record = EvaluationRecord(
        model="tiny",
        recipe="hand_written",
        dataset="red",
        method="none",
        weights_sha256="1" * 64,
        published_ap=None,
        complexity=Complexity(parameters=1, flops=1, input_size=(32, 48)),
        accuracy=evaluate_detections(dataset / "test.json", results, "test", EvaluateSettings(resamples=40)),
    )
    return Reference(record, columns(results))


def test_the_reference_is_read_with_its_detections(torch: Reference, dataset: Path, tmp_path: Path) -> None:
    record, detections = tmp_path / "evaluation.json", tmp_path / "detections.json"
    torch.record.write(record)
    with pytest.raises(PipelineError, match=r"detections\.json: no such detections; .*dvc repro"):
        read_reference(record, detections, dataset)
    results = torch.detections.results()
    detections.write_text(json.dumps(results))
    found = read_reference(record, detections, dataset)
    assert found.record == torch.record
    assert found.detections.results() == results
    detections.write_text(json.dumps([{**results[0], "image_id": 11}]))
    with pytest.raises(PipelineError, match=r"detections\.json: 1 of 1 results.*\n.*unknown image_id 11"):
        read_reference(record, detections, dataset)


@pytest.fixture(scope="module")
def settings() -> BenchmarkSettings:
    backends = ["onnxruntime", "onnxruntime-cuda", "openvino"]
    return BenchmarkSettings(precisions=["fp32", "int8_symmetric"], backends=backends, **QUICK)


@pytest.fixture(scope="module")
def record(artefacts: dict[str, Path], dataset: Path, torch: Reference, settings) -> BenchmarkRecord:
    return benchmark("tiny", artefacts, dataset, torch, settings)


def test_every_rung_is_measured_and_a_missing_backend_says_once_why(record: BenchmarkRecord, artefacts) -> None:
    assert [(run.artefact, run.backend, run.status) for run in record.runs] == [
        ("fp32", "onnxruntime", "ok"),
        ("fp32", "onnxruntime-cuda", "not run"),
        ("fp32", "openvino", "ok"),
        ("int8_symmetric", "onnxruntime", "ok"),
        ("int8_symmetric", "openvino", "ok"),
    ]
    described = [(item.precision, item.sha256, item.file_size) for item in record.artefacts]
    assert described == [
        (name, sha256_of(artefacts[name]), artefacts[name].stat().st_size) for name in ("fp32", "int8_symmetric")
    ]
    for run in record.runs:
        if run.status == "ok":
            assert run.accuracy is not None
            assert run.accuracy.numbers.ap == pytest.approx(100)
            assert run.map_drop == pytest.approx(record.torch_ap - 100)
            assert run.map_drop < -20
            assert [latency.batch_size for latency in run.latency] == [1, 2]
            assert (run.threads, run.precision, run.device) == (1, run.artefact, "cpu")
    skipped = record.runs[1]
    assert "CUDA" in skipped.reason
    assert (skipped.accuracy, skipped.map_drop, skipped.boxes, skipped.latency) == (None, None, None, [])


def test_a_rung_is_compared_class_by_class_box_by_box_and_with_an_interval(record: BenchmarkRecord) -> None:
    run = record.runs[0]
    assert run.worst_class is not None
    assert (run.worst_class.name, run.worst_class.drop) == ("blob", pytest.approx(run.map_drop))
    assert run.boxes is not None
    assert (run.boxes.detections, run.boxes.matched) == (3, 1)
    assert run.boxes.mean_score_difference > 0.5
    assert run.map_drop_interval is not None
    assert run.map_drop_interval.low < run.map_drop < run.map_drop_interval.high
    assert run.accuracy.bootstrap is not None
    assert run.accuracy.bootstrap.ap == [], "the draws are not kept, their interval is"
    assert run.accuracy.bootstrap.interval.low <= run.accuracy.bootstrap.interval.high


def test_some_images_are_compared_with_pytorch_on_the_same_ones(artefacts, dataset: Path, torch: Reference) -> None:
    """The first and the third of four, where PyTorch found both: a pixel too few in the second one's height."""
    some = BenchmarkSettings(precisions=["fp32"], backends=["onnxruntime"], accuracy_images=2, **QUICK)
    record = benchmark("tiny", artefacts, dataset, torch, some)
    (run,) = record.runs
    whole = benchmark("tiny", artefacts, dataset, torch, some.model_copy(update={"accuracy_images": 4}))
    chosen = [image["id"] for image in Split.read(dataset / "test.json").spaced(2).images]
    found = torch.detections.taken(np.isin(torch.detections.image, chosen))
    expected = evaluate_detections(Split.read(dataset / "test.json").spaced(2), found, "test", torch_draws(torch))
    assert (record.images, whole.images) == (2, 4)
    assert (run.accuracy.images, run.accuracy.boxes, run.boxes.detections) == (2, 2, len(found))
    assert record.torch_ap == expected.numbers.ap
    assert record.torch_interval == expected.bootstrap.interval
    assert whole.torch_ap == torch.record.accuracy.numbers.ap != record.torch_ap
    assert run.map_drop == pytest.approx(record.torch_ap - 100)
    assert run.map_drop_interval.low <= run.map_drop <= run.map_drop_interval.high


def torch_draws(torch: Reference) -> EvaluateSettings:
    bootstrap = torch.record.accuracy.bootstrap
    return EvaluateSettings(resamples=len(bootstrap.ap), seed=bootstrap.seed)


def test_bf16_is_a_rung_of_the_fp32_file_alone() -> None:
    settings = BenchmarkSettings(precisions=["fp32", "int8"], backends=["openvino-bf16", "openvino"])
    assert list(rungs(settings)) == [("fp32", "openvino"), ("fp32", "openvino-bf16"), ("int8", "openvino")]


def rung(artefact: str, backend: str, drop: float | None, milliseconds: float = 5.0, precision: str = "") -> BackendRun:
    latency = timed_run("openvino", milliseconds).latency[0]
    return BackendRun.model_construct(
        artefact=artefact, backend=backend, precision=precision or artefact, status="ok", map_drop=drop,
        latency=[latency], worst_class=None,
    )  # fmt: skip


def ladder(*runs: BackendRun) -> BenchmarkRecord:
    return BenchmarkRecord.model_construct(model="tiny", torch_ap=80.0, runs=list(runs))


def test_each_precision_has_its_own_limit_and_the_first_rung_that_breaks_is_named() -> None:
    gates = Gates(benchmark_max_map_drop={"fp32": 0.05, "bf16": 0.2, "int8": 1.0})
    fine = [rung("fp32", "onnxruntime", 0.05), rung("fp32", "openvino-bf16", 0.2, precision="bf16")]
    check_gates(ladder(*fine, rung("int8", "openvino", 1.0), rung("fp16", "openvino", 9.0)), gates)
    with pytest.raises(GateError) as caught:
        check_gates(
            ladder(*fine, rung("fp32", "openvino-bf16", 0.21, precision="bf16"), rung("int8", "openvino", 1.5)), gates
        )
    first, second = (line for line in str(caught.value).splitlines() if line.startswith("  "))
    assert "of tiny breaks the gates of params.yaml, first at bf16 under openvino-bf16:" in str(caught.value)
    assert first.startswith("  gates.benchmark_max_map_drop.bf16: openvino-bf16 loses 0.210 AP points")
    assert second.startswith("  gates.benchmark_max_map_drop.int8: openvino loses 1.500 AP points")
    assert second.endswith("PyTorch's 80.000, the limit is 1")


def test_a_loss_names_its_worst_class(record: BenchmarkRecord) -> None:
    with pytest.raises(GateError, match=r"loses -2.* most in class blob \(-2.*\), the limit is -30"):
        check_gates(record, Gates(benchmark_max_map_drop={"fp32": -30}))


def test_latency_holds_the_fastest_rung() -> None:
    slow, fast = rung("fp16", "onnxruntime", 0.0, 30.0), rung("int8", "openvino", 0.0, 4.0)
    check_gates(ladder(slow, fast), OFF.model_copy(update={"benchmark_max_latency_ms": 4.0}))
    with pytest.raises(GateError, match=r"the fastest rung, int8 under openvino, takes 4\.00 ms .* limit is 3"):
        check_gates(ladder(slow, fast), OFF.model_copy(update={"benchmark_max_latency_ms": 3.0}))


def test_gate_without_a_number_is_broken(record: BenchmarkRecord) -> None:
    nothing = record.model_copy(update={"runs": [record.runs[1]]})
    check_gates(nothing, OFF)
    with pytest.raises(GateError, match=r"no backend ran here: onnxruntime-cuda: .*CUDA"):
        check_gates(nothing, Gates())


def test_drop_is_unknown_where_there_is_no_ap(torch: Reference, dataset: Path) -> None:
    accuracy = torch.record.accuracy
    numbers = accuracy.numbers.model_copy(update={"ap": None})
    unknown = accuracy.model_copy(update={"numbers": numbers, "bootstrap": None})
    reference = Reference(torch.record.model_copy(update={"accuracy": unknown}), torch.detections)
    run = measure_rung(
        "fp32", "onnxruntime", Outcome(version="1", threads=1), Split.read(dataset / "test.json"), reference, 0.3
    )
    assert (run.status, run.map_drop, run.map_drop_interval) == ("ok", None, None)


def test_unknown_backend_is_a_settings_error(artefacts, dataset: Path, torch: Reference) -> None:
    with pytest.raises(SettingsError, match=r"benchmark\.backends: tensorboard: no such backend; known: .*openvino"):
        benchmark("tiny", artefacts, dataset, torch, BenchmarkSettings(backends=["tensorboard"]))


def test_data_set_without_the_split_of_the_evaluation(artefacts, tmp_path: Path, torch: Reference, settings) -> None:
    other = write_dataset(tmp_path / "prepared", BOXES, splits=("val",))
    with pytest.raises(DatasetError, match=r"has no split 'test', it has \['val'\]"):
        benchmark("tiny", artefacts, other, torch, settings)


def test_failing_backend_stops_the_benchmark(broken_at_run_time: Path, dataset, torch) -> None:
    with pytest.raises(ArtefactError, match=r"broken\.onnx: its benchmark under onnxruntime failed"):
        benchmark(
            "tiny", {"fp32": broken_at_run_time}, dataset, torch,
            BenchmarkSettings(precisions=["fp32"], backends=["onnxruntime"], **QUICK),
        )  # fmt: skip


def test_a_file_is_what_its_name_says(artefacts: dict[str, Path], dataset: Path, torch: Reference, settings) -> None:
    swapped = {**artefacts, "int8_symmetric": artefacts["int8"]}
    with pytest.raises(ArtefactError, match=r"tiny\.int8\.onnx: its metadata says int8, int8_symmetric was expected"):
        benchmark("tiny", swapped, dataset, torch, settings)


def test_missing_artefact_is_named_before_anything_runs(tmp_path: Path, artefacts, dataset, torch, settings) -> None:
    with pytest.raises(ArtefactError, match=r"gone\.onnx: cannot be read: No such file"):
        benchmark("tiny", {**artefacts, "int8_symmetric": tmp_path / "gone.onnx"}, dataset, torch, settings)
