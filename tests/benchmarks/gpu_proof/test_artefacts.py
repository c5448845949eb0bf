"""Part 4 on a hand-written artefact: ONNX Runtime for real, TensorRT with its builder and tool made up."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benchmarks.gpu_proof import artefacts
from benchmarks.gpu_proof.artefacts import Teacher
from benchmarks.gpu_proof.embedded import Embedded
from benchmarks.gpu_proof.part import run_check
from benchmarks.gpu_proof.place import Check, Place
from benchmarks.gpu_proof.record import CheckResult
from deploy.runtime.backends import DeviceTimes
from deploy.runtime.detector import Detector, open_detector
from deploy.runtime.errors import ArtefactError
from deploy.timing.gpu_monitor import GpuMonitor
from pipeline.settings import load_params
from tests.deploy.simulated_nvml import Nvml
from tests.deploy.tiny import write_artefact, write_dataset

BOXES = [(6, 4, 60, 40), (30, 10, 90, 60), (2, 2, 50, 62), (40, 20, 80, 50)]


@pytest.fixture
def teacher(place: Place, tmp_path: Path) -> Teacher:
    """A teacher whose artefacts are one graph that finds the one red box of every picture."""
    dataset = write_dataset(tmp_path / "data", BOXES)
    made = Teacher(place)
    made.embedded = cast(Embedded, SimpleNamespace(params=load_params(), dataset_dir=dataset))
    made.exported = write_artefact(tmp_path / "teacher.onnx")
    made.files = {"fp32": made.exported, "fp16": made.exported, "int8_symmetric": made.exported}
    return made


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefacts, "_WARMUP", 1)
    monkeypatch.setattr(artefacts, "_CALLS", 3)


def run(work: Callable[..., None], *arguments: Any) -> CheckResult:
    return run_check(Check("check", lambda numbers: work(*arguments, numbers)))


def test_a_backend_that_finds_the_same_boxes_passes_with_its_numbers(teacher: Teacher) -> None:
    found = run(artefacts._onnx_runtime, teacher, "onnxruntime", "fp32")
    assert (found.status, found.reason) == ("passed", "")
    assert found.numbers["AP lost"] == 0
    assert found.numbers["boxes found again"] == 1
    assert float(found.numbers["AP test"]) > 50
    assert float(found.numbers["batch 8: call, ms"]) > 0


def test_a_backend_that_loses_boxes_fails_after_its_latency_is_told(teacher: Teacher, tmp_path: Path) -> None:
    assert teacher.reference_ap > 0
    teacher.files["fp16"] = write_artefact(tmp_path / "blind.onnx", color_order="rgb")
    # Fed in the wrong order, it looks for red where blue is.
    found = run(_blind, teacher, tmp_path)
    assert found.status == "failed"
    assert found.reason.startswith("AP lost is")
    assert float(found.numbers["batch 1: call, ms"]) > 0


def _blind(teacher: Teacher, tmp_path: Path, numbers: dict[str, Any]) -> None:
    with open_detector(teacher.exported, "onnxruntime") as detector:
        run_there = detector.backend.run
        detector.backend.run = lambda images, sizes=None: run_there(images[..., ::-1].copy())  # type: ignore[method-assign]
        artefacts._hold(teacher, detector, "fp16", numbers)


def test_a_cpu_that_finds_nothing_proves_nothing(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefacts, "_SCORE", 1.0)
    found = run(artefacts._onnx_runtime, teacher, "onnxruntime", "fp32")
    assert found.status == "failed"
    assert "the CPU finds no box scored 1.0 or more" in found.reason
    assert not {"boxes found again", "their IoU"} & found.numbers.keys()


def test_a_machine_without_onnx_runtime_for_cuda_says_so(teacher: Teacher) -> None:
    found = run(artefacts._onnx_runtime, teacher, "onnxruntime-cuda", "fp32")
    assert found.status == "not run"
    assert "onnxruntime-cuda" in found.reason


def test_a_machine_without_tensorrt_says_so(teacher: Teacher) -> None:
    found = run(artefacts._tensorrt, teacher, "fp16")
    assert found.status == "not run"
    assert "no CUDA device" in found.reason or "TensorRT" in found.reason


@dataclass
class Build:
    status: str = "built"
    reason: str = ""
    build_seconds: float = 12.0
    file_size: int = 2 << 20


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """TensorRT's builder and runner made up: the engine is the ONNX file, with times of a device."""
    opened: list[Path] = []

    def build(model: str, graphs: list[Path], settings: object, folder: Path, caches: Path) -> SimpleNamespace:
        folder.mkdir()
        (folder / f"{graphs[0].stem}.engine").write_bytes(graphs[0].read_bytes())
        return SimpleNamespace(engines=[Build()])

    def opener(artefact: Path, backend: str) -> Detector:
        opened.append(artefact)
        copy = artefact.with_suffix(".onnx")
        copy.write_bytes(artefact.read_bytes())
        detector = open_detector(copy, "onnxruntime")
        run_there = detector.backend.run
        detector.backend.run = lambda images, sizes=None: replace(  # type: ignore[method-assign]
            run_there(images), device_times=DeviceTimes(0.1, 2.5, 0.1)
        )
        return detector

    monkeypatch.setattr(artefacts, "build_engines", build)
    monkeypatch.setattr(artefacts, "_opened", opener)
    return opened


@pytest.mark.usefixtures("simulated")
def test_the_gpu_is_watched_while_an_engine_runs(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    opener = artefacts._opened

    def on_a_gpu(artefact: Path, backend: str) -> Detector:
        detector = opener(artefact, backend)
        detector.backend.device = "cuda"
        return detector

    monkeypatch.setattr(artefacts, "_opened", on_a_gpu)
    found = run(artefacts._tensorrt, teacher, "fp32")
    assert "NVML" in found.numbers or float(found.numbers["batch 1: memory, MiB"]) > 0
    monitor = GpuMonitor(Nvml(), "0000:65:00.0")  # type: ignore[arg-type]
    monkeypatch.setattr(artefacts.GpuMonitor, "open", lambda: monitor)
    found = run(artefacts._tensorrt, teacher, "fp16")
    assert (found.status, found.reason) == ("passed", "")
    assert (found.numbers["batch 1: memory, MiB"], found.numbers["batch 8: SM clock, MHz"]) == (3072.0, 1980.0)
    assert float(found.numbers["batch 8: energy an image, J"]) > 0


def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    folder.mkdir()
    path = folder / "trtexec"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")


def test_an_engine_is_built_run_and_timed_by_the_device(teacher: Teacher, simulated: list[Path]) -> None:
    found = run(artefacts._tensorrt, teacher, "fp16")
    assert (found.status, found.reason) == ("passed", "")
    assert simulated == [teacher.place.scratch / "engines-fp16" / "teacher.engine"]
    assert (found.numbers["build, s"], found.numbers["plan, MiB"]) == (12.0, 2.0)
    assert found.numbers["batch 1: on the device, ms"] == found.numbers["batch 8: on the device, p95, ms"] == 2.5
    assert found.numbers["trtexec"] == "not installed"


@pytest.mark.usefixtures("simulated")
def test_trtexec_opens_the_same_file(teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "GPU Compute Time: min = 1.9 ms, max = 3 ms, mean = 2.2 ms, median = 2.125 ms, percentile(90%) = 2.5 ms"
    tool(tmp_path / "bin", monkeypatch, f'echo "$@" > "{tmp_path}/arguments"; echo "[I] {said}"')
    found = run(artefacts._tensorrt, teacher, "fp32")
    assert found.status == "passed", found.reason
    assert found.numbers["trtexec: batch 1, on the device, ms"] == 2.125
    assert (tmp_path / "arguments").read_text().split()[1] == "--shapes=images:1x32x48x3"


@pytest.mark.usefixtures("simulated")
def test_an_engine_that_trtexec_refuses_fails(
    teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool(tmp_path / "bin", monkeypatch, 'echo "[E] Error: magic tag does not match"; exit 1')
    found = run(artefacts._tensorrt, teacher, "fp32")
    assert found.status == "failed"
    assert "trtexec cannot read the engine: [E] Error: magic tag does not match" in found.reason
    assert found.numbers["boxes found again"] == 1


def test_a_graph_that_does_not_build_costs_its_own_check(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ArtefactError("teacher.onnx: tensorrt 11 does not build TopK (node_12)")

    monkeypatch.setattr(artefacts, "build_engines", refuse)
    found = run(artefacts._tensorrt, teacher, "int8_symmetric")
    assert found.status == "failed"
    assert "does not build TopK (node_12)" in found.reason
