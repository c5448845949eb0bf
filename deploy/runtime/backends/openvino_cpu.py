"""OpenVINO on the CPU, in the artefact's precision or an fp32 artefact in bf16."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.artefact import OUTPUT_NAMES, ArtefactSpec, named_inputs
from deploy.runtime.backends import RawDetections, closed, running
from deploy.runtime.backends.bindings import ANY, Binding, check_bindings
from deploy.runtime.backends.compiled_cache import from_cache, key_of
from deploy.runtime.errors import ArtefactError, BackendUnavailable
from deploy.runtime.oldest_versions import refuse_older

_DEVICE = "CPU"
_BF16 = "openvino-bf16"
_CORES: list[Any] = []
_CORE_LOCK = Lock()


class InferenceRequests:
    """The inference requests of a compiled model: as many as runs at once, and used again by later ones.

    A request holds the inputs and outputs of one run. Threads that share one get each other's boxes.
    """

    def __init__(self, compiled: Any) -> None:
        self.compiled = compiled
        self.outputs = [compiled.output(name) for name in OUTPUT_NAMES]
        self.idle: list[Any] = []

    @contextmanager
    def one(self) -> Iterator[Any]:
        """A request that no other thread has; after an error it is not used again."""
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        yield request
        self.idle.append(request)


class CompiledModels:
    """An artefact compiled for one image a call and, once a call has more, for any number of them.

    A graph of known shapes runs faster: 1.08 to 1.25 times for one image, 1.05 to 1.15 for more, where compiling it for
    each number would take a second or two, and memory. Which of the two an image goes through depends on the number
    alone, so that equal calls give equal boxes.
    """

    def __init__(self, compile_for: Callable[[int | None], Any], is_batch_fixed: bool) -> None:
        self._compile_for = compile_for
        self._is_batch_fixed = is_batch_fixed
        self._requests: dict[int | None, InferenceRequests] = {}
        self._lock = Lock()

    def requests_for(self, images: int) -> InferenceRequests:
        """The requests of the model that runs so many images."""
        batch = 1 if images == 1 and not self._is_batch_fixed else None
        with self._lock:
            if batch not in self._requests:
                self._requests[batch] = InferenceRequests(self._compile_for(batch))
            return self._requests[batch]


class OpenVinoBackend:
    """Compiled models of one artefact and their inference requests."""

    device = "cpu"

    def __init__(self, models: CompiledModels, name: str, version: str, precision: str, artefact: str) -> None:
        self.name = name
        self.version = version
        self.precision = precision
        self._artefact = artefact
        self.threads = int(models.requests_for(1).compiled.get_property("INFERENCE_NUM_THREADS"))
        self._models: CompiledModels | None = models

    def run(self, images: NDArray[np.uint8], sizes: NDArray[np.int64] | None = None) -> RawDetections:
        """See :meth:`deploy.runtime.backends.Backend.run`."""
        # One reading: another thread may close the backend from here on.
        if (models := self._models) is None:
            raise closed(self.name)
        with running(self.name, self._artefact):
            requests = models.requests_for(len(images))
            with requests.one() as request:
                results = request.infer(named_inputs(images, sizes), share_inputs=True)
                return RawDetections(*(results[output] for output in requests.outputs))

    def close(self) -> None:
        """See :meth:`deploy.runtime.backends.Backend.close`: the last run that goes on takes the model with it."""
        self._models = None


def open_cpu(artefact: Path, spec: ArtefactSpec, threads: int) -> OpenVinoBackend:
    """Open an artefact on the CPU with ``threads`` threads, tuned for latency.

    OpenVINO has no fp16 arithmetic here: it widens the weights of an fp16 artefact and computes in fp32.
    """
    openvino = _import("openvino")
    # Left alone, OpenVINO computes in bf16 where the CPU has it: another precision than the artefact's.
    models = _compile(openvino, artefact, spec, threads, "f32")
    precision = "fp32" if spec.precision == "fp16" else spec.precision
    return OpenVinoBackend(models, "openvino", _version(openvino), precision, os.fspath(artefact))


def open_bf16(artefact: Path, spec: ArtefactSpec, threads: int) -> OpenVinoBackend:
    """Open an fp32 artefact on a CPU that computes in bf16; decoding and NMS run in the precision OpenVINO gives them.

    Raises:
        BackendUnavailable: the CPU has no bf16, or OpenVINO runs no node in bf16 all the same.
    """
    openvino = _import(_BF16)
    capabilities = _core(openvino).get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    if "BF16" not in capabilities:
        raise BackendUnavailable(f"{_BF16}: this CPU does not compute in bf16 (it has {', '.join(capabilities)})")
    models = _compile(openvino, artefact, spec, threads, "bf16")
    # The hint is a wish: what became of it stands in the compiled graph alone.
    graph = models.requests_for(1).compiled.get_runtime_model()
    used = {str(node.get_rt_info()["runtimePrecision"].astype(str)) for node in graph.get_ops()}
    if "bf16" not in used:
        raise BackendUnavailable(f"{_BF16}: asked for bf16, OpenVINO runs {artefact} in {', '.join(sorted(used))}")
    return OpenVinoBackend(models, _BF16, _version(openvino), "bf16", os.fspath(artefact))


def _compile(openvino: Any, artefact: Path, spec: ArtefactSpec, threads: int, precision: str) -> CompiledModels:
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": precision,
    }
    try:
        core = _core(openvino)
        model = core.read_model(os.fspath(artefact))
        _check_names(artefact, spec, model)

        def compile_for(batch: int | None) -> Any:
            return from_cache(
                lambda: key_of(artefact, batch=batch, version=openvino.__version__, cpu=_cpu(core), **config),
                compiled=lambda: core.compile_model(_of_batch(model, batch), _DEVICE, config),
                exported=lambda compiled: compiled.export_model().getvalue(),
                imported=lambda content: core.import_model(io.BytesIO(content), _DEVICE, config),
            )

        is_batch_fixed = spec.dynamic_size or model.inputs[0].get_partial_shape()[0].is_static
        models = CompiledModels(compile_for, is_batch_fixed)
        models.requests_for(1)
        return models
    except RuntimeError as error:
        raise ArtefactError(f"{artefact}: OpenVINO cannot run it: {error}; export it again") from error


def _core(openvino: Any) -> Any:
    """OpenVINO's core, the one of this process, which is never given up.

    On a CPU with AMX a core gives the thread that made it another stack for signals, and takes that stack's memory with
    it: back from any thread, and from under a core that was made later. Ctrl-C or the end of a child process then was a
    segmentation fault in whatever the process did next.
    """
    with _CORE_LOCK:
        if not _CORES:
            _CORES.append(openvino.Core())
        return _CORES[0]


def _cpu(core: Any) -> list[str]:
    names = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
    return [str(core.get_property(_DEVICE, name)) for name in names]


def _of_batch(model: Any, batch: int | None) -> Any:
    """A copy of the model for so many images a call; the model itself where that is open."""
    if batch is None:
        return model
    fixed = model.clone()
    shape = model.inputs[0].get_partial_shape()
    shape[0] = batch
    fixed.reshape(shape)
    return fixed


def _import(name: str) -> Any:
    try:
        import openvino
    except ImportError as error:
        raise BackendUnavailable(
            f"{name}: the package openvino cannot be imported ({error}); pip install openvino"
        ) from error
    refuse_older(name, "openvino", _version(openvino))
    return openvino


def _version(openvino: Any) -> str:
    return str(openvino.__version__).split("-")[0]


def _check_names(artefact: Path, spec: ArtefactSpec, model: Any) -> None:
    inputs = [tensor.any_name for tensor in model.inputs]
    outputs = {name for tensor in model.outputs for name in tensor.names}
    if inputs != list(spec.input_names) or not set(OUTPUT_NAMES) <= outputs:
        raise ArtefactError(
            f"{artefact}: a graph from {list(spec.input_names)} to {list(OUTPUT_NAMES)} is needed, got {inputs} to "
            f"{sorted(outputs)}; export it again"
        )
    found = [_declared(tensor, True) for tensor in model.inputs]
    found += [_declared(tensor, False) for tensor in model.outputs if tensor.names & {*OUTPUT_NAMES}]
    check_bindings(found, spec, str(artefact), declared=True)


def _declared(tensor: Any, is_input: bool) -> Binding:
    sizes = tensor.get_partial_shape()
    if sizes.rank.is_dynamic:
        raise RuntimeError(f"{tensor.any_name} has no known number of dimensions")
    shape = tuple(ANY if size.is_dynamic else size.get_length() for size in sizes)
    name = next(iter(tensor.names & {*OUTPUT_NAMES}), tensor.any_name)
    try:
        dtype = np.dtype(tensor.get_element_type().to_dtype())
    except (IndexError, TypeError):  # a type that numpy does not have
        dtype = np.dtype(np.void)
    return Binding(name, dtype, shape, is_input)
