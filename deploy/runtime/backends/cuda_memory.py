"""CUDA memory, one stream and its events, by NVIDIA's own bindings (the package cuda-bindings)."""

import ctypes
import weakref
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.errors import BackendUnavailable


class CudaError(RuntimeError):
    """A call of the CUDA runtime failed; the message names the call and CUDA's own words."""


class Cuda:
    """The CUDA runtime's calls, with their status turned into :class:`CudaError`."""

    def __init__(self, runtime: ModuleType) -> None:
        self.runtime = runtime

    def call(self, name: str, *arguments: Any) -> Any:
        """Call ``runtime.name(*arguments)``; returns its one result, or None."""
        status, *results = getattr(self.runtime, name)(*arguments)
        if int(status):
            _, text = self.runtime.cudaGetErrorString(status)
            raise CudaError(f"{name}: {text.decode()} ({status.name})")
        return results[0] if results else None


class Transfer:
    """Memory for one binding: a buffer on the device and a page-locked one of the host, of ``nbytes`` bytes each.

    Page-locked memory is what asynchronous copies need. Both are sized once, for the largest batch.
    """

    def __init__(self, cuda: Cuda, nbytes: int) -> None:
        self._cuda = cuda
        self.nbytes = nbytes
        self.device = int(cuda.call("cudaMalloc", nbytes))
        try:
            self._host = int(cuda.call("cudaMallocHost", nbytes))
        except CudaError:
            cuda.call("cudaFree", self.device)
            raise
        self.host = host_array(self._host, nbytes)
        # Also when the transfer is dropped; not when the interpreter ends, for CUDA may be gone by then.
        self._finalizer = weakref.finalize(self, _free, cuda, self.device, self._host)
        self._finalizer.atexit = False

    def to_device(self, nbytes: int, stream: Any) -> None:
        """Copy the first ``nbytes`` bytes of ``host`` to the device, in the order of the stream."""
        kind = self._cuda.runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._cuda.call("cudaMemcpyAsync", self.device, self._host, nbytes, kind, stream)

    def to_host(self, nbytes: int, stream: Any) -> None:
        """Copy the first ``nbytes`` bytes of the device into ``host``, in the order of the stream."""
        kind = self._cuda.runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._cuda.call("cudaMemcpyAsync", self._host, self.device, nbytes, kind, stream)

    def free(self) -> None:
        """Give both buffers back; the transfer is of no use afterwards."""
        self._finalizer()


def _free(cuda: Cuda, device: int, host: int) -> None:
    cuda.call("cudaFree", device)
    cuda.call("cudaFreeHost", host)


def host_array(address: int, nbytes: int) -> NDArray[np.uint8]:
    """``nbytes`` bytes of host memory as an array that does not own them."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * nbytes).from_address(address))


def import_cuda(backend: str) -> Cuda:
    """The CUDA runtime's bindings.

    Raises:
        BackendUnavailable: the package cuda-bindings cannot be imported.
    """
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise BackendUnavailable(
            f"{backend}: the package cuda-bindings cannot be imported ({error}); make setup GPU=1"
        ) from error
    return Cuda(runtime)
