"""TensorRT on the first CUDA device. An engine runs only where it was built (:mod:`deploy.runtime.engine_file`)."""

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.backends import DeviceTimes, RawDetections, closed
from deploy.runtime.backends.bindings import ANY, Binding, check_bindings, choose_profile
from deploy.runtime.backends.cuda_device import find_device
from deploy.runtime.backends.cuda_graph import RecordedWork
from deploy.runtime.backends.cuda_memory import Cuda, CudaError, Transfer, import_cuda
from deploy.runtime.backends.tensorrt_module import import_tensorrt, log_of, read_plan, said, version_of
from deploy.runtime.engine_file import (
    SUFFIX,
    EngineDescription,
    Profile,
    Target,
    check_graph,
    check_target,
    engine_of,
    read_engine,
)
from deploy.runtime.errors import ArtefactError, BackendUnavailable, EngineUnusable

if TYPE_CHECKING:
    import tensorrt_rtx

NAME = "tensorrt"
# Timestamps on the stream: before the copy to the device, after it, after the inference, after the copy back.
_MARKS = 4


class TensorRtBackend:
    """One engine: a context and a CUDA graph per profile, page-locked buffers for its largest batch, one stream.

    Device times are measured by CUDA events. There is one of everything, so threads take turns: a run has it all from
    the copy of its images to the copy of its results.
    """

    name = NAME
    device = "cuda"

    def __init__(
        self, engine: "tensorrt_rtx.ICudaEngine", cuda: Cuda, description: EngineDescription, source: str, threads: int
    ) -> None:
        self.version = description.target.tensorrt
        self.precision = description.spec.precision
        self.threads = threads
        self._cuda = cuda
        self._turn = Lock()
        self._engine = engine
        self._source = source
        self._profiles = engine_profiles(engine)
        self._bindings = check_bindings(engine_bindings(engine), description.spec, source)
        self._contexts: dict[int, tensorrt_rtx.IExecutionContext] = {}
        self._work: dict[int, RecordedWork] = {}
        self._stream = cuda.call("cudaStreamCreate")
        self._marks = [cuda.call("cudaEventCreate") for _ in range(_MARKS)]
        largest = max(profile.most for profile in self._profiles)
        self._memory = {binding.name: Transfer(cuda, binding.nbytes(largest)) for binding in self._bindings}

    def run(self, images: NDArray[np.uint8], sizes: NDArray[np.int64] | None = None) -> RawDetections:
        """See :meth:`deploy.runtime.backends.Backend.run`; engines have one height and width, and no ``sizes``.

        Raises:
            ArtefactError: the batch is empty or beyond the engine's profiles, or the images have another size.
            BackendClosed: the engine was closed before this run began.
            CudaError: CUDA failed.
        """
        del sizes
        batch = len(images)
        profile = choose_profile(self._profiles, batch, self._source)
        given, *outputs = self._bindings
        if images.shape != given.shape_of(batch) or images.dtype != given.dtype:
            raise ArtefactError(
                f"{self._source}: images must be {given.dtype} {list(given.shape_of(batch))}, got {images.dtype} "
                f"{list(images.shape)}"
            )
        flat = np.ascontiguousarray(images).reshape(-1)
        with self._turn:
            if not self._marks:
                raise closed(self.name)
            self._memory[given.name].host[: images.nbytes] = flat
            self._enqueue(profile, given, outputs, batch)
            self._cuda.call("cudaStreamSynchronize", self._stream)
            boxes, scores, labels, num_dets = (self._output(binding, batch) for binding in outputs)
            return RawDetections(boxes, scores, labels, num_dets, self._elapsed())

    def close(self) -> None:
        """See :meth:`deploy.runtime.backends.Backend.close`: memory, graphs, events and stream go back."""
        with self._turn:
            if not self._marks:
                return
            for work in self._work.values():
                work.free()
            self._work.clear()
            self._contexts.clear()
            for transfer in self._memory.values():
                transfer.free()
            self._memory.clear()
            for mark in self._marks:
                self._cuda.call("cudaEventDestroy", mark)
            self._marks.clear()
            self._cuda.call("cudaStreamDestroy", self._stream)

    @property
    def graphs(self) -> dict[Profile, str]:
        """How each profile that ran is launched: ``graph``, ``calls``, or why it cannot be one graph."""
        with self._turn:
            return {
                self._profiles[index]: "graph" if work.is_graph else work.reason or "calls"
                for index, work in self._work.items()
            }

    def _enqueue(self, profile: int, given: Binding, outputs: list[Binding], batch: int) -> None:
        context, shape = self._context(profile), given.shape_of(batch)
        if not context.set_input_shape(given.name, shape):
            raise ArtefactError(f"{self._source}: TensorRT refuses the input shape {shape}")
        self._mark(0)
        self._memory[given.name].to_device(given.nbytes(batch), self._stream)
        self._mark(1)
        if not self._work[profile].run(shape, lambda: bool(context.execute_async_v3(int(self._stream)))):
            raise ArtefactError(f"{self._source}: TensorRT failed to run a batch of {batch}; its log says why")
        self._mark(2)
        for binding in outputs:
            self._memory[binding.name].to_host(binding.nbytes(batch), self._stream)
        self._mark(3)

    def _mark(self, index: int) -> None:
        self._cuda.call("cudaEventRecord", self._marks[index], self._stream)

    def _elapsed(self) -> DeviceTimes:
        spans = zip(self._marks, self._marks[1:], strict=False)
        return DeviceTimes(*(float(self._cuda.call("cudaEventElapsedTime", start, end)) for start, end in spans))

    def _output(self, binding: Binding, batch: int) -> NDArray[Any]:
        values = self._memory[binding.name].host[: binding.nbytes(batch)]
        # A copy: the buffer is written again by the next run.
        return values.view(binding.dtype).reshape(binding.shape_of(batch)).copy()

    def _context(self, profile: int) -> "tensorrt_rtx.IExecutionContext":
        if profile not in self._contexts:
            context = self._engine.create_execution_context()
            if context is None or not context.set_optimization_profile_async(profile, int(self._stream)):
                raise ArtefactError(f"{self._source}: TensorRT cannot prepare profile {profile}; its log says why")
            for name, transfer in self._memory.items():
                context.set_tensor_address(name, transfer.device)
            self._contexts[profile] = context
            self._work[profile] = RecordedWork(self._cuda, self._stream)
        return self._contexts[profile]


def engine_bindings(engine: "tensorrt_rtx.ICudaEngine") -> list[Binding]:
    """Inputs and outputs of a deserialised engine."""
    trt = import_tensorrt()
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    return [
        Binding(
            name,
            np.dtype(trt.nptype(engine.get_tensor_dtype(name))),
            (ANY, *engine.get_tensor_shape(name)[1:]),
            engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
        )
        for name in names
    ]


def engine_profiles(engine: "tensorrt_rtx.ICudaEngine") -> tuple[Profile, ...]:
    """Batch sizes of an engine's optimisation profiles, in their order."""
    trt = import_tensorrt()
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    (given,) = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
    shapes = [engine.get_tensor_profile_shape(given, index) for index in range(engine.num_optimization_profiles)]
    return tuple(Profile(*(int(shape[0]) for shape in profile)) for profile in shapes)


def open_engine(artefact: Path, spec: ArtefactSpec, threads: int) -> TensorRtBackend:
    """Open an engine, or the engine that was built from an ONNX file (:func:`deploy.runtime.engine_file.engine_of`).

    The engine's own specification decides; ``spec`` is that of the file that was named.

    Raises:
        BackendUnavailable: there is no CUDA device, no TensorRT, or no engine was built.
        EngineUnusable: TensorRT or CUDA fails.
        ArtefactError: the engine is damaged, of another machine or of another graph.
    """
    try:
        device = find_device()
    except BackendUnavailable as error:
        raise BackendUnavailable(f"{NAME}: {error}") from error
    trt, cuda = import_tensorrt(), import_cuda(NAME)
    here = Target(device.name, device.compute_capability, device.driver, version_of(trt))
    path, description, plan = _read(artefact, here)
    try:
        engine = read_plan(trt, plan)
        if engine is None:
            raise ArtefactError(
                f"{path}: {here.tensorrt} cannot read this engine; build it again with `python -m stages.engine`. "
                f"TensorRT said:\n{said(log_of(trt).messages)}"
            )
        return TensorRtBackend(engine, cuda, description, str(path), threads)
    # TensorRT's bindings raise TypeError where a constructor gives nothing.
    except (RuntimeError, TypeError) as error:
        what = "CUDA fails" if isinstance(error, CudaError) else f"{here.tensorrt} cannot open {path}"
        raise EngineUnusable(f"{NAME}: {what}: {error}") from error


def _read(artefact: Path, here: Target) -> tuple[Path, EngineDescription, bytes]:
    path = artefact if artefact.suffix == SUFFIX else engine_of(artefact)
    if not path.exists():
        raise BackendUnavailable(
            f"{NAME}: no engine was built from {artefact} ({path} is missing); build it with `python -m stages.engine`"
        )
    description, plan = read_engine(path)
    if artefact != path:
        check_graph(path, description, artefact)
    check_target(path, description, here)
    return path, description, plan
