"""A GPU made of host memory: what the TensorRT runner asks of CUDA and of an engine, where there is no real one.

Addresses are real, copies are real, and the order of the stream is kept; only the engine's arithmetic is made up. It
shows that the runner puts the right bytes in the right place at the right time, and nothing about TensorRT.
"""

import ctypes
from enum import IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np

from deploy.runtime.backends.bindings import expected_bindings
from deploy.runtime.backends.cuda_memory import host_array
from tests.deploy.tiny import SPEC


class Status(IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorStreamCaptureUnsupported = 900


class Runtime:
    """The calls of ``cuda.bindings.runtime`` that the runner makes; ``limit`` is the device's memory in bytes."""

    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice="up", cudaMemcpyDeviceToHost="down")

    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal="this thread")

    def __init__(self, limit: int = 1 << 30, captures: bool = True) -> None:
        self.limit = limit
        self.captures = captures
        self.recording: list[Any] | None = None
        self.graphs: set[int] = set()
        self.blocks: dict[int, Any] = {}
        self.work: list[str] = []

    def cudaGetErrorString(self, status: Status) -> tuple[Status, bytes]:
        return Status.cudaSuccess, {2: b"out of memory", 900: b"not permitted when capturing"}[int(status)]

    def _allocate(self, size: int) -> tuple[Status, int | None]:
        if size + sum(len(block) for block in self.blocks.values()) > self.limit:
            return Status.cudaErrorMemoryAllocation, None
        block = (ctypes.c_uint8 * size)()
        self.blocks[ctypes.addressof(block)] = block
        return Status.cudaSuccess, ctypes.addressof(block)

    cudaMalloc = cudaMallocHost = _allocate

    def _free(self, address: int) -> tuple[Status]:
        del self.blocks[address]
        return (Status.cudaSuccess,)

    cudaFree = cudaFreeHost = _free

    def cudaMemcpyAsync(self, to: int, source: int, size: int, kind: str, stream: int) -> tuple[Status]:
        assert max(size, 0) <= min(len(self.blocks[to]), len(self.blocks[source]))
        ctypes.memmove(to, source, size)
        self.work.append(f"{kind} {size}")
        return (Status.cudaSuccess,)

    def cudaStreamCreate(self) -> tuple[Status, int]:
        return Status.cudaSuccess, 7

    def cudaStreamSynchronize(self, stream: int) -> tuple[Status]:
        self.work.append("synchronise")
        return (Status.cudaSuccess,)

    def cudaStreamBeginCapture(self, stream: int, mode: str) -> tuple[Status]:
        assert self.recording is None
        self.recording = []
        return (Status.cudaSuccess,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Status, Any]:
        recorded, self.recording = self.recording, None
        return (Status.cudaSuccess if self.captures else Status.cudaErrorStreamCaptureUnsupported), recorded

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[Status, SimpleNamespace]:
        executable = SimpleNamespace(work=list(graph))
        self.graphs.add(id(executable))
        return Status.cudaSuccess, executable

    def cudaGraphDestroy(self, graph: Any) -> tuple[Status]:
        return (Status.cudaSuccess,)

    def cudaGraphLaunch(self, executable: SimpleNamespace, stream: int) -> tuple[Status]:
        self.work.append("launch")
        for step in executable.work:
            step()
        return (Status.cudaSuccess,)

    def cudaGraphExecDestroy(self, executable: SimpleNamespace) -> tuple[Status]:
        self.graphs.remove(id(executable))
        return (Status.cudaSuccess,)

    def cudaGetLastError(self) -> tuple[Status]:
        return (Status.cudaSuccess,)

    def cudaEventCreate(self) -> tuple[Status, SimpleNamespace]:
        return Status.cudaSuccess, SimpleNamespace(at=None)

    def cudaEventRecord(self, event: SimpleNamespace, stream: int) -> tuple[Status]:
        event.at = float(len(self.work))
        return (Status.cudaSuccess,)

    def cudaEventElapsedTime(self, start: SimpleNamespace, end: SimpleNamespace) -> tuple[Status, float]:
        return Status.cudaSuccess, end.at - start.at

    def cudaEventDestroy(self, event: SimpleNamespace) -> tuple[Status]:
        return (Status.cudaSuccess,)

    def cudaStreamDestroy(self, stream: int) -> tuple[Status]:
        return (Status.cudaSuccess,)


class Engine:
    """An engine with the bindings of :data:`tests.deploy.tiny.SPEC` and two profiles, 1 and 1 to 4 images."""

    num_optimization_profiles = 2
    profiles = ((1, 1, 1), (1, 2, 4))

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.bindings = {binding.name: binding for binding in expected_bindings(SPEC)}
        self.num_io_tensors = len(self.bindings)
        self.contexts: list[Context] = []

    def get_tensor_name(self, index: int) -> str:
        return [*self.bindings][::-1][index]

    def get_tensor_dtype(self, name: str) -> np.dtype:
        return self.bindings[name].dtype

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.bindings[name].shape

    def get_tensor_mode(self, name: str) -> str:
        return "input" if self.bindings[name].is_input else "output"

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        return [self.bindings[name].shape_of(size) for size in self.profiles[index]]

    def create_execution_context(self) -> "Context":
        self.contexts.append(Context(self))
        return self.contexts[-1]


class Context:
    """It finds one box an image: its first pixel's channels are x1, y1 and the label; the score is the profile's."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.addresses: dict[str, int] = {}
        self.profile = -1
        self.batch = 0

    def set_optimization_profile_async(self, index: int, stream: int) -> bool:
        self.profile = index
        return True

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        least, _, most = self.engine.profiles[self.profile]
        self.batch = shape[0]
        return least <= self.batch <= most

    def execute_async_v3(self, stream: int) -> bool:
        if self.engine.runtime.recording is not None:
            self.engine.runtime.recording.append(self._execute)
        else:
            self._execute()
        return True

    def _execute(self) -> None:
        self.engine.runtime.work.append("execute")
        values = {name: self._array(name) for name in self.addresses}
        for name in values.keys() - {"images"}:
            values[name][...] = 0
        pixels = values["images"][:, 0, 0].astype(np.int64)
        values["boxes"][:, 0] = np.stack([pixels[:, 0], pixels[:, 1], pixels[:, 0] + 1, pixels[:, 1] + 1], axis=1)
        values["scores"][:, 0] = (self.profile + 1) / 4
        values["labels"][:, 0] = pixels[:, 2]
        values["num_dets"][:] = 1

    def _array(self, name: str) -> np.ndarray:
        binding = self.engine.bindings[name]
        content = host_array(self.addresses[name], binding.nbytes(self.batch))
        return content.view(binding.dtype).reshape(binding.shape_of(self.batch))


class Logger:
    """TensorRT's, which a program's own derives from."""

    ERROR, INTERNAL_ERROR, WARNING = range(3)


MODULE = SimpleNamespace(
    __name__="tensorrt",
    __version__="10.9.0.34",
    nptype=lambda dtype: dtype,
    Dims=tuple,
    ILogger=Logger,
    TensorIOMode=SimpleNamespace(INPUT="input"),
)
