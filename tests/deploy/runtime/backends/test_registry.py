import sys
from pathlib import Path

import numpy as np
import pytest

from deploy.runtime import backends
from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.backends import BACKENDS, check_name, open_backend, resolve_threads
from deploy.runtime.errors import ArtefactError, BackendUnavailable
from tests.deploy.tiny import DYNAMIC_SPEC

CPU_BACKENDS = ("onnxruntime", "openvino")


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("count", [1, 3])
def test_contract_of_the_outputs(name: str, count: int, artefact: Path, spec) -> None:
    backend = open_backend(name, artefact, spec, threads=1)
    images = np.zeros((count, 32, 48, 3), np.uint8)
    images[-1, 4:8, 5:20, 2] = 255
    raw = backend.run(images)
    assert (raw.boxes.shape, raw.scores.shape, raw.labels.shape) == ((count, 2, 4), (count, 2), (count, 2))
    assert (raw.boxes.dtype, raw.scores.dtype, raw.labels.dtype) == (np.float32, np.float32, np.int64)
    assert raw.num_dets.tolist() == [0] * (count - 1) + [1]
    np.testing.assert_array_equal(raw.boxes[-1], [[5, 4, 20, 8], [0, 0, 0, 0]])


@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_results_outlive_the_next_call(name: str, artefact: Path, spec) -> None:
    backend = open_backend(name, artefact, spec, threads=1)
    images = np.zeros((1, 32, 48, 3), np.uint8)
    images[0, 4:8, 5:20, 2] = 255
    first = backend.run(images)
    kept = first.boxes.copy()
    backend.run(np.zeros((1, 32, 48, 3), np.uint8))
    np.testing.assert_array_equal(first.boxes, kept)


@pytest.mark.parametrize("name", CPU_BACKENDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_backends_state_what_they_are(name: str, threads: int, artefact: Path, spec) -> None:
    backend = open_backend(name, artefact, spec, threads)
    assert (backend.name, backend.device, backend.precision, backend.threads) == (name, "cpu", "fp32", threads)
    assert backend.version[0].isdigit()


def test_unknown_name_lists_the_known_ones(artefact: Path, spec) -> None:
    with pytest.raises(BackendUnavailable, match="torch: no such backend") as caught:
        open_backend("torch", artefact, spec)
    assert all(name in str(caught.value) for name in BACKENDS)
    assert check_name("openvino") is BACKENDS["openvino"]


def test_file_of_another_kind_is_not_taken(tmp_path: Path, spec) -> None:
    with pytest.raises(BackendUnavailable, match=r"openvino: takes \.onnx files, got .*model\.engine"):
        open_backend("openvino", tmp_path / "model.engine", spec)


@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_a_dynamic_size_takes_every_height_and_width(name: str, dynamic_artefact: Path) -> None:
    backend = open_backend(name, dynamic_artefact, DYNAMIC_SPEC, threads=1)
    for shape in [(1, 16, 64), (2, 64, 48), (1, 16, 64)]:
        images = np.zeros((*shape, 3), np.uint8)
        images[-1, 4:8, 5:20, 2] = 255
        raw = backend.run(images, np.array([shape[1:]] * shape[0]))
        assert raw.num_dets.tolist() == [0] * (shape[0] - 1) + [1]
        np.testing.assert_array_equal(raw.boxes[-1, 0], [5, 4, 20, 8])


@pytest.mark.parametrize("name", CPU_BACKENDS)
def test_a_graph_that_is_not_of_dynamic_size_is_refused(name: str, artefact: Path) -> None:
    with pytest.raises(ArtefactError, match=r"a graph from \['images', 'sizes'\] .* is needed, got \['images'\]"):
        open_backend(name, artefact, DYNAMIC_SPEC, threads=1)


@pytest.mark.parametrize("name", ["tensorrt", "onnxruntime-tensorrt"])
def test_a_backend_of_one_size_says_so(name: str, dynamic_artefact: Path) -> None:
    with pytest.raises(BackendUnavailable, match=rf"{name}: engines are built for one .*\.onnx has a dynamic size"):
        open_backend(name, dynamic_artefact, DYNAMIC_SPEC)


def test_first_backend_that_runs_is_taken(artefact: Path, spec, monkeypatch: pytest.MonkeyPatch) -> None:
    assert open_backend(None, artefact, spec, threads=1).name == "onnxruntime"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert open_backend(None, artefact, spec, threads=1).name == "openvino"
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendUnavailable, match="no backend runs it here") as caught:
        open_backend(None, artefact, spec, threads=1)
    assert "pip install openvino" in str(caught.value)
    assert "pip install onnxruntime" in str(caught.value)


def test_named_backend_is_never_replaced(artefact: Path, spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(BackendUnavailable, match="openvino: the package openvino cannot be imported"):
        open_backend("openvino", artefact, spec)


def test_zero_threads_is_every_core() -> None:
    assert resolve_threads(0) >= 1
    assert resolve_threads(3) == 3


def test_threads_chosen_here_are_those_that_the_container_gets(
    artefact: Path, spec: ArtefactSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "usable_cores", lambda: 1)
    assert resolve_threads(0) == 1
    for name in ("onnxruntime", "openvino"):
        opened = open_backend(name, artefact, spec)
        assert opened.threads == 1
        opened.close()
