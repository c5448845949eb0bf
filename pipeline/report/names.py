"""What the report calls models, backends and the data set."""

from pipeline.deploy_records import BackendRun
from pipeline.report.collect import Results

_BACKENDS = {
    "pytorch": "PyTorch",
    "torch": "PyTorch",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "tensorrt": "TensorRT",
    "tensorrt_rtx": "TensorRT-RTX",
}
_SUFFIXES = {"cpu": "CPU", "cuda": "CUDA", "gpu": "GPU", "tensorrt": "TensorRT"}


def backend_title(backend: str) -> str:
    """The product's own spelling of a backend, whatever suffix (``openvino_bf16``) follows its name."""
    for name in sorted(_BACKENDS, key=len, reverse=True):
        if backend == name:
            return _BACKENDS[name]
        for mark in "_-:":
            if backend.startswith(name + mark):
                suffix = backend[len(name) + 1 :]
                return f"{_BACKENDS[name]} {_SUFFIXES.get(suffix, suffix)}"
    return backend


def precision_title(precision: str) -> str:
    """A precision in words: ``int8 symmetric``."""
    return precision.replace("_", " ")


def rung_title(backend: str, precision: str) -> str:
    """Backend and precision: ``OpenVINO bf16``; a precision that is part of the backend's name is said once."""
    title = backend_title(backend)
    return title if precision in title.split() else f"{title} {precision_title(precision)}"


def run_title(run: BackendRun) -> str:
    """Backend, precision and device of a rung that ran: ``OpenVINO bf16``; the device is named unless it is the CPU."""
    title = rung_title(run.backend, run.rung) if run.status == "ok" else backend_title(run.backend)
    if run.device and run.device.lower() != "cpu" and run.device.lower() not in title.lower():
        title = f"{title} ({run.device})"
    return title


def data_title(results: Results) -> str:
    """The data set's title, which always says when the data is composed."""
    title = results.dataset.title
    return f"{title} (composed)" if results.dataset.composed and "composed" not in title.lower() else title
