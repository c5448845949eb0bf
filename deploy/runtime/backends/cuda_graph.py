"""Work of a stream recorded once and launched as one call: what a small detector saves is the launch of each kernel."""

from collections.abc import Callable
from typing import Any

from deploy.runtime.backends.cuda_memory import Cuda, CudaError


class CudaGraph:
    """What ``enqueue`` puts into a stream, as one CUDA graph.

    Shapes, addresses and the context that ``enqueue`` used must stay as they are for as long as it is launched.

    Args:
        cuda: the CUDA runtime.
        stream: the stream that ``enqueue`` works on.
        enqueue: puts the work into the stream and says whether it could; it must have run once before.

    Raises:
        CudaError: the work cannot be captured; the stream can be used again.
    """

    def __init__(self, cuda: Cuda, stream: Any, enqueue: Callable[[], bool]) -> None:
        self._cuda = cuda
        mode = cuda.runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        cuda.call("cudaStreamBeginCapture", stream, mode)
        try:
            done = enqueue()
        finally:
            # Also after an error: a stream that is left capturing takes no other work.
            graph = cuda.call("cudaStreamEndCapture", stream)
        try:
            if not done:
                raise CudaError("the work cannot be captured: it was refused while the stream was recorded")
            self._executable = cuda.call("cudaGraphInstantiate", graph, 0)
        finally:
            cuda.call("cudaGraphDestroy", graph)

    def launch(self, stream: Any) -> None:
        """Put the recorded work into a stream."""
        self._cuda.call("cudaGraphLaunch", self._executable, stream)

    def free(self) -> None:
        """Give the graph back; it is of no use afterwards."""
        self._cuda.call("cudaGraphExecDestroy", self._executable)


class RecordedWork:
    """The work of one execution context: put into the stream call by call, from the second like call on as a graph.

    The first call with a shape prepares what TensorRT allocates lazily, the second records it. Another shape starts
    anew, so that a context has one graph at most. What cannot be recorded goes on call by call; ``reason`` says why.
    """

    def __init__(self, cuda: Cuda, stream: Any) -> None:
        self.reason = ""
        self._cuda = cuda
        self._stream = stream
        self._shape: tuple[int, ...] | None = None
        self._graph: CudaGraph | None = None

    @property
    def is_graph(self) -> bool:
        """Whether the next like call launches a graph."""
        return self._graph is not None

    def run(self, shape: tuple[int, ...], enqueue: Callable[[], bool]) -> bool:
        """Do the work for inputs of ``shape``; returns False where it was refused."""
        if shape != self._shape:
            self.free()
            self._shape = shape
            return enqueue()
        if self._graph is None and not self.reason:
            try:
                self._graph = CudaGraph(self._cuda, self._stream, enqueue)
            except CudaError as error:
                self.reason = str(error)
                # CUDA keeps an error of a capture until it is asked for.
                self._cuda.runtime.cudaGetLastError()
        if self._graph is None:
            return enqueue()
        self._graph.launch(self._stream)
        return True

    def free(self) -> None:
        """Give the graph back; the next call starts anew."""
        if self._graph is not None:
            self._graph.free()
        self._graph, self._shape = None, None
