from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.backends import DeviceTimes, Factory, open_backend
from deploy.runtime.backends.ort import OnnxRuntimeDeviceBackend, open_cpu, open_cuda, open_tensorrt
from deploy.runtime.errors import ArtefactError, BackendUnavailable
from tests.deploy import stock, threads
from tests.deploy.tiny import GRAPH, save_sealed

GPU_BACKENDS = [
    ("onnxruntime-cuda", open_cuda, ["CUDAExecutionProvider"]),
    ("onnxruntime-tensorrt", open_tensorrt, ["TensorrtExecutionProvider", "CUDAExecutionProvider"]),
]
on_each_gpu_backend = pytest.mark.parametrize(("name", "open_it", "providers"), GPU_BACKENDS)


@pytest.mark.parametrize("threads", [1, 2])
def test_it_computes_on_as_many_threads_as_asked_for_and_they_rest_between_calls(
    artefact: Path, spec: ArtefactSpec, threads: int
) -> None:
    options = open_cpu(artefact, spec, threads)._session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (threads, 1)
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


@on_each_gpu_backend
def test_a_gpu_backend_says_why_it_cannot_run_here(
    artefact: Path, spec, name: str, open_it: Factory, providers: list[str]
) -> None:
    if providers[0] in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-gpu is installed")
    with pytest.raises(BackendUnavailable, match=rf"{name}: .* has no {providers[0]} .*onnxruntime-gpu"):
        open_it(artefact, spec, 1)


@on_each_gpu_backend
def test_silent_fall_back_is_an_error(
    artefact: Path, spec, monkeypatch: pytest.MonkeyPatch, name: str, open_it: Factory, providers: list[str]
) -> None:
    # What onnxruntime-gpu does on a machine without a GPU: it lists CUDA, takes the request, and runs on the CPU.
    real = onnxruntime.InferenceSession

    def session(path: str, options: object, providers: list[str]) -> object:
        asked.append(providers)
        return real(path, options, providers=["CPUExecutionProvider"])

    asked: list[list[str]] = []
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    with pytest.raises(
        BackendUnavailable, match=rf"{name}: asked for {providers[0]}, .* fell back to CPUExecutionProvider"
    ):
        open_it(artefact, spec, 1)
    assert asked == [providers]


def test_file_that_is_no_graph_is_named(tmp_path: Path, spec) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x08\x3a\x02\xff\xff")
    with pytest.raises(ArtefactError, match=r"broken\.onnx: ONNX Runtime cannot (read|run) it"):
        open_cpu(path, spec, 1)


def test_graph_of_another_shape_is_refused(tmp_path: Path, spec: ArtefactSpec) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["": 18]> g (float[N] x) => (float[N] y) {y = Abs(x)}'
    )
    onnx.helper.set_model_props(model, spec.to_metadata())
    onnx.save(model, tmp_path / "abs.onnx")
    with pytest.raises(ArtefactError, match=r"abs\.onnx: a graph from \['images'\] .* got \['x'\] to \['y'\]"):
        open_cpu(tmp_path / "abs.onnx", spec, 1)


def test_on_a_device_the_copies_are_timed_and_the_results_are_the_same(artefact: Path, spec: ArtefactSpec) -> None:
    # The host stands in for the device: the calls are the same, and so must be what comes back.
    pictures = np.full((2, 32, 48, 3), 255, np.uint8)
    plain = open_cpu(artefact, spec, 1)
    wanted = plain.run(pictures)
    assert wanted.device_times is None
    backend = OnnxRuntimeDeviceBackend(plain._session, "onnxruntime-cuda", "1", "cpu", "fp32")
    found = backend.run(pictures)
    for name in ("boxes", "scores", "labels", "num_dets"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    times = found.device_times
    assert times is not None
    assert min(times.host_to_device, times.inference, times.device_to_host) > 0


@pytest.fixture
def on_a_device(exported_gfl: Path) -> OnnxRuntimeDeviceBackend:
    """The host in the place of the device."""
    plain = open_cpu(exported_gfl, stock.spec(10), 1)
    return OnnxRuntimeDeviceBackend(plain._session, "onnxruntime-cuda", "1", "cpu", "fp32")


def test_threads_get_the_results_of_their_own_images(exported_gfl: Path, on_a_device: OnnxRuntimeDeviceBackend) -> None:
    for backend in (open_cpu(exported_gfl, stock.spec(10), 1), on_a_device):
        threads.assert_threads_change_nothing(backend, stock.noise_images(24).numpy()[:, None])


def test_closing_it_while_threads_run_ends_them_with_a_sentence(
    exported_gfl: Path, on_a_device: OnnxRuntimeDeviceBackend
) -> None:
    for backend in (open_cpu(exported_gfl, stock.spec(10), 1), on_a_device):
        threads.assert_closing_is_clear(backend, stock.noise_images(8).numpy()[:, None])


def test_every_run_has_the_times_of_its_own_copies(on_a_device: OnnxRuntimeDeviceBackend) -> None:
    images = stock.noise_images(2).numpy()
    first = on_a_device.run(images)
    kept = first.device_times
    second = on_a_device.run(images)
    assert isinstance(second.device_times, DeviceTimes)
    assert first.device_times == kept != second.device_times


def test_a_run_that_fails_names_the_artefact(broken_at_run_time: Path, spec: ArtefactSpec) -> None:
    backend = open_cpu(broken_at_run_time, spec, 1)
    with pytest.raises(ArtefactError, match=r"broken\.onnx: onnxruntime failed while it ran: (.|\n)*export it again"):
        backend.run(np.full((1, 32, 48, 3), 255, np.uint8))


# OpenVINO goes by what the nodes give, whatever the outputs are declared to be.
OTHER = {
    "images must be input uint8": ("uint8[N, 32, 48, 3]", "int32[N, 32, 48, 3]"),
    "images must be input uint8 .*32, 48, 3.*64, 48, 3": ("uint8[N, 32, 48, 3]", "uint8[N, 64, 48, 3]"),
    "num_dets must be output int64": ("int64[N] num_dets", "int64[1] num_dets"),
    "scores must be output float32 ": ("float[N, 2] scores", "double[N, 2] scores"),
}


@pytest.mark.parametrize(
    ("name", "message"), [*(("onnxruntime", key) for key in OTHER), *(("openvino", key) for key in [*OTHER][:2])]
)
def test_a_graph_of_other_types_or_sizes_is_refused_before_it_runs(
    tmp_path: Path, spec: ArtefactSpec, name: str, message: str
) -> None:
    path = tmp_path / "other.onnx"
    model = onnx.parser.parse_model(GRAPH.format(channel=2).replace(*OTHER[message]))
    onnx.helper.set_model_props(model, spec.to_metadata())
    save_sealed(model, path)
    with pytest.raises(ArtefactError, match=rf"other\.onnx: .*({message}|cannot (read|run) it)"):
        open_backend(name, path, spec, 1)
