from pathlib import Path
from types import SimpleNamespace

import onnx
import onnxruntime
import pytest

from deploy.artefact import ArtefactSpec
from deploy.backends.ort import open_cpu, open_cuda
from deploy.errors import ArtefactError, BackendUnavailable


def test_cuda_says_why_it_cannot_run_here(artefact: Path, spec) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("onnxruntime-gpu is installed")
    with pytest.raises(
        BackendUnavailable, match=r"onnxruntime-cuda: .* has no CUDAExecutionProvider .*onnxruntime-gpu"
    ):
        open_cuda(artefact, spec, 1)


def test_silent_fall_back_to_the_cpu_is_an_error(artefact: Path, spec, monkeypatch: pytest.MonkeyPatch) -> None:
    # What onnxruntime-gpu does on a machine without a GPU: it lists CUDA, takes the request, and runs on the CPU.
    real = onnxruntime.InferenceSession

    def session(path: str, options: object, providers: list[str]) -> SimpleNamespace:
        assert providers == ["CUDAExecutionProvider"]
        return real(path, options, providers=["CPUExecutionProvider"])

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    with pytest.raises(
        BackendUnavailable, match=r"asked for CUDAExecutionProvider, .* fell back to CPUExecutionProvider"
    ):
        open_cuda(artefact, spec, 1)


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
