"""The runner on a simulated GPU, and every way in which it cannot run; on a real one, against ONNX Runtime."""

import gc
import os
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import deploy
from deploy.engines.builder import check_runs
from deploy.engines.engine import build_engines
from deploy.graph.export import export_onnx
from deploy.graph.exported_module import DeployableDetector
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.backends import DeviceTimes, open_backend, tensorrt, tensorrt_module
from deploy.runtime.backends.cuda_device import CudaDevice, find_device
from deploy.runtime.backends.cuda_memory import Cuda, CudaError, import_cuda
from deploy.runtime.backends.tensorrt import TensorRtBackend, open_engine
from deploy.runtime.engine_file import EngineDescription, Profile, Target, description_of
from deploy.runtime.errors import ArtefactError, BackendUnavailable
from pipeline.deploy_settings import EngineSettings, ProfileSettings
from pipeline.storage import sha256_of
from tests.deploy import threads
from tests.deploy.runtime.backends.simulated_gpu import MODULE, Context, Engine, Runtime
from tests.deploy.stock import noise_images, stock_detector
from tests.deploy.stock import spec as stock_spec
from tests.deploy.tiny import SPEC

TARGET = Target("NVIDIA L4", "8.9", "580.65.06", "tensorrt 10.9.0.34")
DESCRIPTION = EngineDescription(TARGET, "a" * 64, (Profile(1, 1, 1), Profile(1, 2, 4)), SPEC)


def why_no_gpu() -> str:
    try:
        gpu = find_device()
        import_cuda("tensorrt")
        check_runs(tensorrt_module.import_tensorrt(), gpu.name)
    except BackendUnavailable as error:
        return str(error)
    return ""


NO_GPU = why_no_gpu()


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    monkeypatch.setattr(tensorrt, "import_tensorrt", lambda: MODULE)
    return MODULE


@pytest.fixture
def backend(runtime: Runtime, module: SimpleNamespace) -> TensorRtBackend:
    return TensorRtBackend(Engine(runtime), Cuda(runtime), DESCRIPTION, "tiny.engine", threads=2)


def images(*pixels: tuple[int, int, int]) -> np.ndarray:
    batch = np.zeros((len(pixels), 32, 48, 3), np.uint8)
    batch[:, 0, 0] = pixels
    return batch


def test_what_goes_in_comes_out(backend: TensorRtBackend) -> None:
    raw = backend.run(images((3, 4, 1), (30, 20, 0), (1, 1, 1)))
    np.testing.assert_array_equal(raw.boxes[:, 0], [[3, 4, 4, 5], [30, 20, 31, 21], [1, 1, 2, 2]])
    assert raw.labels[:, 0].tolist() == [1, 0, 1]
    assert raw.num_dets.tolist() == [1, 1, 1]
    assert [output.dtype for output in (raw.boxes, raw.scores, raw.labels, raw.num_dets)] == [
        np.float32,
        np.float32,
        np.int64,
        np.int64,
    ]
    assert [output.shape for output in (raw.boxes, raw.scores, raw.labels)] == [(3, 2, 4), (3, 2), (3, 2)]


def test_states_what_it_is(backend: TensorRtBackend) -> None:
    assert (backend.name, backend.device, backend.precision, backend.threads) == ("tensorrt", "cuda", "fp32", 2)
    assert backend.version == "tensorrt 10.9.0.34"


def test_only_the_batch_is_copied_and_the_host_waits_once(backend: TensorRtBackend, runtime: Runtime) -> None:
    raw = backend.run(images((0, 0, 0), (0, 0, 0)))
    assert runtime.work == ["up 9216", "execute", "down 64", "down 16", "down 32", "down 16", "synchronise"]
    assert raw.device_times == DeviceTimes(host_to_device=1, inference=1, device_to_host=4)


def test_buffers_hold_the_largest_batch_of_all_profiles(backend: TensorRtBackend, runtime: Runtime) -> None:
    one_side = [4 * 32 * 48 * 3, 4 * 2 * 4 * 4, 4 * 2 * 4, 4 * 2 * 8, 4 * 8]
    assert sorted(len(block) for block in runtime.blocks.values()) == sorted(one_side * 2)
    backend.close()
    assert not runtime.blocks


def test_each_profile_has_a_context_that_is_made_once(backend: TensorRtBackend) -> None:
    scores = [float(backend.run(images(*[(0, 0, 0)] * batch)).scores[0, 0]) for batch in (1, 2, 1, 4, 3)]
    assert scores == [0.25, 0.5, 0.25, 0.5, 0.5]
    assert [context.profile for context in backend._engine.contexts] == [0, 1]


def test_from_the_second_like_call_on_a_profile_is_one_graph(backend: TensorRtBackend, runtime: Runtime) -> None:
    boxes = []
    for number in range(4):
        runtime.work.clear()
        boxes.append(backend.run(images((number, 4, 1), (30, 20, 0))).boxes[:, 0, 0].tolist())
        started = [step for step in runtime.work if step in ("execute", "launch")]
        assert started == (["execute"] if number == 0 else ["launch", "execute"])
    assert boxes == [[number, 30] for number in range(4)]
    assert backend.graphs == {Profile(1, 2, 4): "graph"}


def test_another_batch_of_a_profile_makes_the_graph_anew(backend: TensorRtBackend, runtime: Runtime) -> None:
    for batch in (2, 2, 3, 3, 2, 2):
        raw = backend.run(images(*[(batch, index, 1) for index in range(batch)]))
        assert raw.boxes[:, 0, :2].tolist() == [[batch, index] for index in range(batch)]
        assert len(runtime.graphs) <= 1
    backend.run(images((0, 0, 0)))
    assert backend.graphs == {Profile(1, 2, 4): "graph", Profile(1, 1, 1): "calls"}
    backend.close()
    assert not runtime.graphs


def test_what_cannot_be_a_graph_goes_on_call_by_call_and_says_why(module: SimpleNamespace) -> None:
    runtime = Runtime(captures=False)
    backend = TensorRtBackend(Engine(runtime), Cuda(runtime), DESCRIPTION, "tiny.engine", threads=1)
    for number in range(3):
        assert backend.run(images((number, 4, 1))).boxes[0, 0, 0] == number
    (reason,) = backend.graphs.values()
    assert reason.startswith("cudaStreamEndCapture: not permitted when capturing")
    assert "launch" not in runtime.work


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that takes its time, in which Python lets other threads on."""
    execute = Context._execute

    def slowly(context: Context) -> None:
        time.sleep(1e-3)
        execute(context)
        time.sleep(1e-3)

    monkeypatch.setattr(Context, "_execute", slowly)


@pytest.mark.usefixtures("slow")
def test_threads_get_the_results_of_their_own_images(backend: TensorRtBackend) -> None:
    batches = [images(*[(9 * place, index, 1) for index in range(1 + place % 4)]) for place in range(12)]
    threads.assert_threads_change_nothing(backend, batches)


@pytest.mark.usefixtures("slow")
def test_threads_get_the_times_of_their_own_runs(backend: TensorRtBackend) -> None:
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(backend.run, [images((1, 2, 1)), images((1, 2, 1), (3, 4, 1))] * 8))
    assert {raw.device_times for raw in together} <= {DeviceTimes(1, 1, 4), DeviceTimes(1, 2, 4)}


@pytest.mark.usefixtures("slow")
def test_closing_it_while_threads_run_ends_them_with_a_sentence(backend: TensorRtBackend, runtime: Runtime) -> None:
    threads.assert_closing_is_clear(backend, [images((place, 1, 1)) for place in range(8)])
    assert not runtime.blocks
    assert backend.graphs == {}


def test_results_outlive_the_next_call(backend: TensorRtBackend) -> None:
    first = backend.run(images((9, 9, 0)))
    kept = first.boxes.copy()
    backend.run(images((1, 1, 1)))
    np.testing.assert_array_equal(first.boxes, kept)


def test_images_need_not_be_contiguous(backend: TensorRtBackend) -> None:
    batch = np.repeat(images((3, 4, 1), (5, 6, 0)), 2, axis=0)[::2]
    assert not batch.flags.c_contiguous
    np.testing.assert_array_equal(backend.run(batch).boxes[:, 0, :2], [[3, 4], [5, 6]])


@pytest.mark.parametrize("batch", [0, 5])
def test_a_batch_outside_the_profiles_is_an_error(backend: TensorRtBackend, runtime: Runtime, batch: int) -> None:
    with pytest.raises(
        ArtefactError, match=rf"tiny\.engine: a batch of {batch} images is outside .*\(1 to 1, 1 to 4\)"
    ):
        backend.run(np.zeros((batch, 32, 48, 3), np.uint8))
    assert not runtime.work


@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 48, 32, 3), np.uint8), np.zeros((1, 32, 48, 3), np.float32), np.zeros((1, 3), np.uint8)]
)
def test_images_of_another_kind_are_an_error(backend: TensorRtBackend, wrong: np.ndarray) -> None:
    with pytest.raises(ArtefactError, match=r"images must be uint8 \[1, 32, 48, 3\], got "):
        backend.run(wrong)


def test_too_little_device_memory_says_so_and_holds_nothing(module: SimpleNamespace) -> None:
    for limit, call in ((10_000, "cudaMalloc"), (20_000, "cudaMallocHost"), (37_000, "cudaMallocHost")):
        small = Runtime(limit)
        with pytest.raises(CudaError, match=rf"{call}: out of memory \(cudaErrorMemoryAllocation\)"):
            TensorRtBackend(Engine(small), Cuda(small), DESCRIPTION, "tiny.engine", threads=1)
        gc.collect()
        assert not small.blocks


def test_an_engine_with_other_outputs_is_refused(runtime: Runtime, module: SimpleNamespace) -> None:
    other = replace(DESCRIPTION, spec=replace(SPEC, max_detections=100))
    with pytest.raises(ArtefactError, match=r"boxes must be output float32 \[batch, 100, 4\], got .* \[batch, 2, 4\]"):
        TensorRtBackend(Engine(runtime), Cuda(runtime), other, "tiny.engine", threads=1)
    assert not runtime.blocks


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, module: SimpleNamespace, runtime: Runtime) -> SimpleNamespace:
    """A simulated machine: `reads` is what TensorRT makes of a plan."""
    machine = SimpleNamespace(reads=Engine(runtime))

    class Reader:
        def __init__(self, log: Any) -> None:
            self.log = log

        def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
            if machine.reads is None:
                self.log.log(MODULE.ILogger.WARNING, "a warning")
                self.log.log(MODULE.ILogger.ERROR, "Error Code 6: no such compute capability\nat runtime.cpp")
            return machine.reads

    installed = SimpleNamespace(**vars(MODULE), Runtime=Reader)
    monkeypatch.setattr(tensorrt, "find_device", lambda: CudaDevice("NVIDIA L4", "8.9", "580.65.06"))
    monkeypatch.setattr(tensorrt, "import_tensorrt", lambda: installed)
    monkeypatch.setattr(tensorrt, "import_cuda", lambda name: Cuda(runtime))
    return machine


def write(engine: Path, description: EngineDescription) -> None:
    engine.write_bytes(b"plan")
    description_of(engine).write_bytes(description.to_json(b"plan"))


@pytest.fixture
def engine(tmp_path: Path, artefact: Path) -> Path:
    """The engine of a copy of the artefact, which is beside it as `tiny.onnx`."""
    (tmp_path / "tiny.onnx").write_bytes(artefact.read_bytes())
    path = tmp_path / "tiny.engine"
    write(path, replace(DESCRIPTION, graph_sha256=sha256_of(artefact)))
    return path


def test_an_engine_and_the_graph_beside_it_open_the_same(gpu: SimpleNamespace, engine: Path) -> None:
    for path in (engine, engine.with_suffix(".onnx")):
        detector = deploy.load(path, backend="tensorrt")
        assert (detector.backend.name, detector.spec) == ("tensorrt", SPEC)
        found = detector(images((3, 4, 1))[0])
        assert (found.boxes.tolist(), found.names) == ([[3, 4, 4, 5]], ["blob"])
    assert deploy.load(engine).backend.name == "tensorrt"


def test_a_with_block_gives_the_device_back(gpu: SimpleNamespace, engine: Path, runtime: Runtime) -> None:
    with deploy.load(engine) as detector:
        detector(images((3, 4, 1))[0])
        assert runtime.blocks
    assert not runtime.blocks
    detector.close()


def test_an_engine_of_another_machine_is_refused(gpu: SimpleNamespace, engine: Path) -> None:
    write(engine, replace(DESCRIPTION, target=replace(TARGET, driver="570.1")))
    with pytest.raises(
        ArtefactError, match=r"tiny\.engine: .* driver: built for '570\.1', here '580\.65\.06'; build it"
    ):
        deploy.load(engine)


def test_an_engine_of_another_graph_is_refused(gpu: SimpleNamespace, engine: Path) -> None:
    write(engine, DESCRIPTION)
    with pytest.raises(ArtefactError, match=r"tiny\.engine: built from another graph .*tiny\.onnx"):
        deploy.load(engine.with_suffix(".onnx"), backend="tensorrt")


def test_a_graph_without_an_engine_says_how_to_build_it(
    gpu: SimpleNamespace, artefact: Path, spec: ArtefactSpec
) -> None:
    with pytest.raises(BackendUnavailable, match=r"tensorrt: no engine was built from .*tiny\.onnx .*stages\.engine"):
        open_engine(artefact, spec, 1)


def test_a_plan_that_tensorrt_cannot_read_is_named(gpu: SimpleNamespace, engine: Path) -> None:
    gpu.reads = None
    with pytest.raises(
        ArtefactError, match=r"tiny\.engine: tensorrt 10\.9\.0\.34 cannot read this engine; build"
    ) as told:
        deploy.load(engine)
    assert str(told.value).endswith("TensorRT said:\n  Error Code 6: no such compute capability")


def test_truncated_engine_is_named(gpu: SimpleNamespace, engine: Path) -> None:
    engine.write_bytes(engine.read_bytes()[:-1])
    with pytest.raises(ArtefactError, match=r"tiny\.engine\.json: .*the engine has 3 bytes, 4 were written"):
        deploy.load(engine)


def of_another_machine(gpu: SimpleNamespace, engine: Path, runtime: Runtime) -> None:
    description = replace(DESCRIPTION, target=replace(TARGET, driver="570.1"))
    write(engine, replace(description, graph_sha256=sha256_of(engine.with_suffix(".onnx"))))


def of_another_graph(gpu: SimpleNamespace, engine: Path, runtime: Runtime) -> None:
    write(engine, DESCRIPTION)


def damaged(gpu: SimpleNamespace, engine: Path, runtime: Runtime) -> None:
    engine.write_bytes(b"plam")


def without_description(gpu: SimpleNamespace, engine: Path, runtime: Runtime) -> None:
    description_of(engine).unlink()


def a_pipe(gpu: SimpleNamespace, engine: Path, runtime: Runtime) -> None:
    engine.unlink()
    os.mkfifo(engine)


def unreadable(gpu: SimpleNamespace, engine: Path, runtime: Runtime) -> None:
    gpu.reads = None


def on_a_full_device(gpu: SimpleNamespace, engine: Path, runtime: Runtime) -> None:
    runtime.limit = 1


def with_a_failing_tensorrt(gpu: SimpleNamespace, engine: Path, runtime: Runtime) -> None:
    def fail(_: object) -> None:
        raise TypeError("pybind11::init(): factory function returned nullptr")

    tensorrt.import_tensorrt().Runtime = fail  # type: ignore[misc]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (of_another_machine, "driver: built for '570.1'"),
        (of_another_graph, "built from another graph"),
        (damaged, "a damaged engine"),
        (without_description, "tiny.engine.json: cannot be read"),
        (a_pipe, "a named pipe"),
        (unreadable, "cannot read this engine"),
        (on_a_full_device, "out of memory"),
        (with_a_failing_tensorrt, "factory function returned nullptr"),
    ],
)
def test_an_engine_that_cannot_be_used_is_passed_over_where_no_backend_was_named(
    gpu: SimpleNamespace,
    engine: Path,
    runtime: Runtime,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[SimpleNamespace, Path, Runtime], None],
    said: str,
) -> None:
    graph = engine.with_suffix(".onnx")
    assert deploy.load(graph).backend.name == "tensorrt"
    assert caplog.messages == []
    spoil(gpu, engine, runtime)
    detector = deploy.load(graph, threads=1)
    assert detector.backend.name == "onnxruntime"
    assert detector(np.zeros((32, 48, 3), np.uint8)).boxes.shape == (0, 4)
    (message,) = caplog.messages
    assert message.startswith(f"{graph}: its engine is passed over: ")
    assert said in message
    with pytest.raises((ArtefactError, BackendUnavailable), match=re.escape(said)):
        deploy.load(graph, backend="tensorrt")


def test_a_graph_that_no_backend_reads_is_still_an_error(
    gpu: SimpleNamespace, engine: Path, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_another_graph(gpu, engine, runtime)
    for name in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(BackendUnavailable, match=r"(?s)no backend runs it here:.*another graph.*pip install"):
        deploy.load(engine.with_suffix(".onnx"))


@pytest.mark.skipif(not NO_GPU, reason="a GPU is here")
def test_without_a_gpu_it_says_why(artefact: Path, spec: ArtefactSpec) -> None:
    with pytest.raises(BackendUnavailable, match=r"^tensorrt: .*no CUDA device"):
        open_backend("tensorrt", artefact, spec)


def test_without_tensorrt_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_module, "MODULES", ("no_such_tensorrt",))
    with pytest.raises(BackendUnavailable, match=r"TensorRT cannot be imported \(No module named .*make setup GPU=1"):
        tensorrt_module.import_tensorrt()


def test_the_calls_exist_in_nvidias_own_bindings() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")
    calls = [name for name in vars(Runtime) if name.startswith("cuda")]
    assert len(calls) > 10
    assert not [name for name in calls if not hasattr(runtime, name)]


def test_a_failing_call_of_the_real_runtime_is_an_error() -> None:
    pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings is not installed")
    # More memory than any device has, or no device at all.
    with pytest.raises(CudaError, match=r"^cudaMalloc: .+ \(cudaError\w+\)$"):
        import_cuda("tensorrt").call("cudaMalloc", 1 << 60)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("artefacts")
    graph = folder / "gfl.onnx"
    export_onnx(DeployableDetector(stock_detector(), stock_spec(10)), graph, opset=18)
    profiles = [ProfileSettings(best=1, most=1), ProfileSettings(best=2, most=4)]
    record = build_engines("gfl", [graph], EngineSettings(profiles=profiles), folder / "engines/gfl", folder / "timing")
    return graph, record


@pytest.mark.gpu
@pytest.mark.skipif(bool(NO_GPU), reason=NO_GPU or "a GPU is here")
@pytest.mark.parametrize("batch", [1, 2, 3, 4])
def test_on_a_gpu_it_says_what_onnx_runtime_says(built: tuple[Path, Any], batch: int) -> None:
    graph, record = built
    assert [build.status for build in record.engines] == ["built"]
    pictures = noise_images(batch).numpy()
    wanted = open_backend("onnxruntime", graph, stock_spec(10)).run(pictures)
    backend = open_backend("tensorrt", graph, stock_spec(10))
    assert isinstance(backend, TensorRtBackend)
    found = backend.run(pictures)
    np.testing.assert_allclose(found.num_dets, wanted.num_dets, atol=1)
    # Rounding differs, so equal scores may change places: the lists agree in their best scores and boxes.
    np.testing.assert_allclose(found.scores[:, :10], wanted.scores[:, :10], atol=1e-3)
    np.testing.assert_allclose(found.boxes[:, 0], wanted.boxes[:, 0], atol=0.1)
    assert found.device_times is not None
    assert found.device_times.inference > 0
    backend.close()


@pytest.mark.gpu
@pytest.mark.skipif(bool(NO_GPU), reason=NO_GPU or "a GPU is here")
def test_on_a_gpu_threads_get_the_results_of_their_own_images(built: tuple[Path, Any]) -> None:
    backend = open_backend("tensorrt", built[0], stock_spec(10))
    threads.assert_threads_change_nothing(backend, noise_images(24).numpy()[:, None])
    threads.assert_closing_is_clear(backend, noise_images(8).numpy()[:, None])


@pytest.mark.gpu
@pytest.mark.skipif(bool(NO_GPU), reason=NO_GPU or "a GPU is here")
@pytest.mark.parametrize("batch", [0, 5])
def test_on_a_gpu_a_batch_outside_the_profiles_is_an_error(built: tuple[Path, Any], batch: int) -> None:
    backend = open_backend("tensorrt", built[0], stock_spec(10))
    with pytest.raises(ArtefactError, match=rf"a batch of {batch} images is outside"):
        backend.run(np.zeros((batch, 128, 128, 3), np.uint8))
