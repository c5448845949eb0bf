"""Records: JSON in and out without loss, and a clear error for a file of another shape."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy.runtime.measurements import GpuUse, Latency
from pipeline.deploy_records import ArtefactFile, BackendRun, BenchmarkRecord
from pipeline.errors import PipelineError
from pipeline.records import CocoNumbers, Complexity, Interval

points = st.floats(0, 100)
names = list(CocoNumbers.model_fields)


def numbers(value: float | None = 41.5) -> CocoNumbers:
    return CocoNumbers(**dict.fromkeys(names, value))  # type: ignore[arg-type]


@given(values=st.lists(st.none() | points, min_size=len(names), max_size=len(names)))
def test_every_number_survives_the_file(values: list[float | None], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("records") / "numbers.json"
    record = CocoNumbers(**dict(zip(names, values, strict=True)))  # type: ignore[arg-type]
    record.write(path)
    assert CocoNumbers.read(path) == record


def test_a_number_that_does_not_exist_is_null(tmp_path: Path) -> None:
    path = tmp_path / "numbers.json"
    numbers(math.nan).write(path)
    assert set(json.loads(path.read_text()).values()) == {None}
    assert CocoNumbers.read(path) == numbers(None)


def test_nested_records_survive_the_file(tmp_path: Path) -> None:
    latency = Latency(
        batch_size=8,
        warmup_calls=10,
        calls=100,
        p50=3.5,
        p90=4.0,
        p95=4.5,
        p99=9.25,
        p90_bound=4.1,
        p99_bound=None,
        mean=3.75,
        spread=0.1,
        noisy=False,
        decoding=2.0,
        preprocessing=1.0,
        host_to_device=0.1,
        inference=2.0,
        device_to_host=0.15,
        postprocessing=0.5,
        images_per_second=2133.3,
        gpu=GpuUse(
            memory_bytes=1 << 30, sm_clock_mhz=1980, memory_clock_mhz=None, power_w=70.5, energy_per_image_j=0.1
        ),
    )
    run = BackendRun(
        artefact="fp32",
        backend="onnxruntime",
        version="1.31",
        device="cpu",
        precision="fp32",
        status="not run",
        reason="",
        threads=2,
        cores=[0, 1],
        accuracy=None,
        map_drop=-0.01,
        map_drop_interval=None,
        worst_class=None,
        boxes=None,
        latency=[latency],
        sweep_end="time",
        sweep_reason="batch 8 took long",
        gpu_unseen="",
        load_ms=12.0,
        peak_memory_bytes=1 << 33,
    )
    file = ArtefactFile(precision="fp32", file="a.onnx", sha256="0" * 64, file_size=1)
    record = BenchmarkRecord(model="twin", images=4, torch_ap=None, torch_interval=None, artefacts=[file], runs=[run])
    record.write(tmp_path / "new" / "benchmark.json")
    assert BenchmarkRecord.read(tmp_path / "new" / "benchmark.json") == record


def test_a_tuple_stays_a_tuple(tmp_path: Path) -> None:
    record = Complexity(parameters=1, flops=2, input_size=(256, 320))
    record.write(tmp_path / "c.json")
    assert Complexity.read(tmp_path / "c.json").input_size == (256, 320)


def test_missing_file_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"none\.json: no such record; .*dvc repro"):
        Interval.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"low": 1, "high": 2}',
        '{"low": 1, "high": 2, "confidence": "x"}',
        '{"low": 1, "high": 2, "confidence": 0.9, "more": 1}',
    ],
)
def test_a_file_of_another_shape_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "interval.json").write_text(text)
    with pytest.raises(PipelineError, match=r"interval\.json: not a Interval; run `dvc repro`"):
        Interval.read(tmp_path / "interval.json")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"low": "\xff"}', "no text in UTF-8"),
        (b'{"low": "\xed\xa0\x80"}', "no text in UTF-8"),
        (b"[" * 100_000, "not a Interval"),
        (b'{"low": 1' + b"0" * 5000 + b"}", "not a Interval"),
        (b'{"low": "\\ud800"}', "not a Interval"),
    ],
    ids=["bytes", "surrogate", "nested", "digits", "escaped surrogate"],
)
def test_content_that_is_no_json_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "interval.json").write_bytes(content)
    with pytest.raises(PipelineError, match=rf"interval\.json: {reason}.*; run `dvc repro`"):
        Interval.read(tmp_path / "interval.json")


def test_a_record_with_a_thousand_faults_is_told_in_a_page(tmp_path: Path) -> None:
    (tmp_path / "interval.json").write_text(json.dumps({f"key{number}": 1 for number in range(1000)}))
    with pytest.raises(PipelineError, match=r"and \d+ more lines") as caught:
        Interval.read(tmp_path / "interval.json")
    assert len(str(caught.value).splitlines()) < 100


def test_a_record_cannot_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        numbers().ap = 99.0  # type: ignore[misc]
