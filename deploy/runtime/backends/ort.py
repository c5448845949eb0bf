"""ONNX Runtime on the CPU, on CUDA and on TensorRT."""

import os
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.artefact import OUTPUT_NAMES, ArtefactSpec, named_inputs
from deploy.runtime.backends import DeviceTimes, RawDetections, closed, running
from deploy.runtime.backends.bindings import ANY, Binding, check_bindings
from deploy.runtime.errors import ArtefactError, BackendUnavailable
from deploy.runtime.oldest_versions import refuse_older

_CPU, _CUDA, _TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
# Who takes the nodes that a provider leaves. Without CUDA, those that TensorRT does not take would go to the CPU.
_BEHIND = {_CPU: (), _CUDA: (), _TENSORRT: (_CUDA,)}


class OnnxRuntimeBackend:
    """One ONNX Runtime session on the CPU. Sessions are made for several threads; nothing else is kept."""

    def __init__(
        self, session: Any, name: str, version: str, device: str, precision: str, artefact: str = "the artefact"
    ) -> None:
        self.name = name
        self.version = version
        self.device = device
        self.precision = precision
        self.threads = session.get_session_options().intra_op_num_threads
        self._artefact = artefact
        self._session = session

    def run(self, images: NDArray[np.uint8], sizes: NDArray[np.int64] | None = None) -> RawDetections:
        """See :meth:`deploy.runtime.backends.Backend.run`."""
        session = self._opened()
        with running(self.name, self._artefact):
            found = session.run(OUTPUT_NAMES, named_inputs(images, sizes))
        return RawDetections(*found)

    def close(self) -> None:
        """See :meth:`deploy.runtime.backends.Backend.close`: the last run that goes on takes the session with it."""
        self._session = None

    def _opened(self) -> Any:
        # One reading: another thread may close the backend from here on.
        if (session := self._session) is None:
            raise closed(self.name)
        return session


class OnnxRuntimeDeviceBackend(OnnxRuntimeBackend):
    """One ONNX Runtime session on a device: its copies are made here, so that they can be timed.

    Every run has a binding and device memory of its own.
    """

    def run(self, images: NDArray[np.uint8], sizes: NDArray[np.int64] | None = None) -> RawDetections:
        """See :meth:`deploy.runtime.backends.Backend.run`."""
        import onnxruntime

        session = self._opened()
        start = perf_counter()
        binding = session.io_binding()
        for name, values in named_inputs(images, sizes).items():
            binding.bind_ortvalue_input(name, onnxruntime.OrtValue.ortvalue_from_numpy(values, self.device, 0))
        for name in OUTPUT_NAMES:
            binding.bind_output(name, self.device)
        with running(self.name, self._artefact):
            binding.synchronize_inputs()
            sent = perf_counter()
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
        ran = perf_counter()
        boxes, scores, labels, num_dets = (value.numpy() for value in binding.get_outputs())
        end = perf_counter()
        times = DeviceTimes(1e3 * (sent - start), 1e3 * (ran - sent), 1e3 * (end - ran))
        return RawDetections(boxes, scores, labels, num_dets, times)


def open_cpu(artefact: Path, spec: ArtefactSpec, threads: int) -> OnnxRuntimeBackend:
    """Open an artefact on the CPU with ``threads`` threads."""
    return _open(artefact, spec, threads, "onnxruntime", _CPU)


def open_cuda(artefact: Path, spec: ArtefactSpec, threads: int) -> OnnxRuntimeBackend:
    """Open an artefact on the first CUDA device; ``threads`` serve the nodes that have no CUDA kernel."""
    return _open(artefact, spec, threads, "onnxruntime-cuda", _CUDA)


def open_tensorrt(artefact: Path, spec: ArtefactSpec, threads: int) -> OnnxRuntimeBackend:
    """Open an artefact in ONNX Runtime's TensorRT provider, which builds its engine now and for each new batch size."""
    return _open(artefact, spec, threads, "onnxruntime-tensorrt", _TENSORRT)


def _open(artefact: Path, spec: ArtefactSpec, threads: int, name: str, provider: str) -> OnnxRuntimeBackend:
    ort = _import(name)
    if provider not in ort.get_available_providers():
        package = "onnxruntime" if provider == _CPU else "onnxruntime-gpu (in the place of onnxruntime)"
        raise BackendUnavailable(
            f"{name}: the installed onnxruntime {ort.__version__} has no {provider} "
            f"(it has {', '.join(ort.get_available_providers())}); install {package}"
        )
    if provider != _CPU:
        # CUDA and cuDNN as pip installs them are on no path that the loader searches.
        ort.preload_dlls()
    session = _session(ort, artefact, threads, name, provider)
    # ONNX Runtime takes the CPU without an error when the provider's library or the device is missing.
    if (first := session.get_providers()[0]) != provider:
        raise BackendUnavailable(
            f"{name}: asked for {provider}, ONNX Runtime fell back to {first}: no usable CUDA device"
        )
    _check_names(artefact, spec, session)
    if provider == _CPU:
        return OnnxRuntimeBackend(session, name, ort.__version__, "cpu", spec.precision, os.fspath(artefact))
    return OnnxRuntimeDeviceBackend(session, name, ort.__version__, "cuda", spec.precision, os.fspath(artefact))


def _import(name: str) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise BackendUnavailable(
            f"{name}: the package onnxruntime cannot be imported ({error}); pip install onnxruntime"
        ) from error
    refuse_older(name, "onnxruntime", onnxruntime.__version__)
    return onnxruntime


def _session(ort: Any, artefact: Path, threads: int, name: str, provider: str) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Otherwise its threads go on looking for work between two calls, at the cost of everybody else in this process.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    state = ort.capi.onnxruntime_pybind11_state
    unreadable = (state.InvalidGraph, state.InvalidProtobuf, state.InvalidArgument, state.NoSuchFile)
    try:
        return ort.InferenceSession(os.fspath(artefact), options, providers=[provider, *_BEHIND[provider]])
    except unreadable as error:
        raise ArtefactError(f"{artefact}: ONNX Runtime cannot read it: {error}; export it again") from error
    except Exception as error:
        if provider == _CPU:
            raise ArtefactError(f"{artefact}: ONNX Runtime cannot run it: {error}; export it again") from error
        raise BackendUnavailable(f"{name}: {provider} cannot start: {error}") from error


def _check_names(artefact: Path, spec: ArtefactSpec, session: Any) -> None:
    inputs = [tensor.name for tensor in session.get_inputs()]
    outputs = [tensor.name for tensor in session.get_outputs()]
    if inputs != list(spec.input_names) or sorted(outputs) != sorted(OUTPUT_NAMES):
        raise ArtefactError(
            f"{artefact}: a graph from {list(spec.input_names)} to {list(OUTPUT_NAMES)} is needed, got {inputs} to "
            f"{outputs}; export it again"
        )
    found = [_declared(tensor, True) for tensor in session.get_inputs()]
    found += [_declared(tensor, False) for tensor in session.get_outputs()]
    check_bindings(found, spec, str(artefact), declared=True)


def _declared(tensor: Any, is_input: bool) -> Binding:
    """An input or output as a session tells it, such as ``tensor(float)`` and ``["N", 2, 4]``."""
    kind = tensor.type.removeprefix("tensor(").removesuffix(")")
    try:
        dtype = np.dtype({"float": "float32", "double": "float64"}.get(kind, kind))
    except TypeError:
        dtype = np.dtype(np.void)
    shape = tuple(size if isinstance(size, int) else ANY for size in tensor.shape)
    return Binding(tensor.name, dtype, shape, is_input)
