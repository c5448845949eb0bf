"""What runs an artefact. A backend is imported when it is asked for, so that one installed backend is enough."""

import importlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.engine_file import SUFFIX as ENGINE
from deploy.runtime.errors import ArtefactError, BackendClosed, BackendUnavailable, EngineUnusable
from deploy.runtime.printable import in_one_line
from deploy.runtime.resources import usable_cores

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DeviceTimes:
    """Milliseconds of one run on a device that has memory of its own."""

    host_to_device: float
    inference: float
    device_to_host: float


@dataclass(frozen=True, eq=False)
class RawDetections:
    """The graph's outputs for a batch of N images: see :class:`deploy.runtime.artefact.ArtefactSpec`.

    ``device_times`` are those of the run that gave them; None where they are not told apart, as on a CPU.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    num_dets: NDArray[np.int64]
    device_times: DeviceTimes | None = None


class Backend(Protocol):
    """Runs one artefact. ``precision`` is what it computes in, ``threads`` its CPU threads.

    Any number of threads may run and close it at once. Nothing of a run is kept in the backend: what belongs to it
    comes back with its result.
    """

    name: str
    version: str
    device: str
    precision: str
    threads: int

    def run(self, images: NDArray[np.uint8], sizes: NDArray[np.int64] | None = None) -> RawDetections:
        """Run uint8 ``[N, H, W, 3]``; returns when the results are in host memory.

        An artefact of dynamic size needs the ``sizes`` of the images as well, others take none, unless the backend has
        an attribute ``needs_sizes`` that is true.

        Raises:
            BackendClosed: the backend was closed before this run began.
        """
        ...

    def close(self) -> None:
        """Give back what the backend holds; it is of no use afterwards. Another call does nothing.

        Runs that other threads have begun give their results all the same.
        """
        ...


Factory = Callable[[Path, ArtefactSpec, int], Backend]


@dataclass(frozen=True)
class Entry:
    """Where a backend's factory is, and which artefacts it takes.

    File name suffixes, precisions (None: all), and whether those of dynamic size.
    """

    module: str
    factory: str
    suffixes: tuple[str, ...]
    precisions: tuple[str, ...] | None = None
    dynamic_size: bool = True

    def takes(self, precision: str) -> bool:
        """Whether an artefact of this precision is meant for the backend."""
        return self.precisions is None or precision in self.precisions

    def load(self) -> Factory:
        """Import the factory, ``(artefact, spec, threads) -> Backend``."""
        factory: Factory = getattr(importlib.import_module(self.module), self.factory)
        return factory


BACKENDS: dict[str, Entry] = {
    "tensorrt": Entry(
        "deploy.runtime.backends.tensorrt",
        "open_engine",
        (".engine", ".onnx"),
        precisions=("fp32", "fp16", "int8_symmetric"),
        dynamic_size=False,
    ),
    "onnxruntime-cuda": Entry("deploy.runtime.backends.ort", "open_cuda", (".onnx",)),
    "onnxruntime": Entry("deploy.runtime.backends.ort", "open_cpu", (".onnx",)),
    "openvino": Entry("deploy.runtime.backends.openvino_cpu", "open_cpu", (".onnx",)),
    "openvino-bf16": Entry("deploy.runtime.backends.openvino_cpu", "open_bf16", (".onnx",), precisions=("fp32",)),
    # Last: it builds an engine of its own whenever it opens a file, and would for every new height and width.
    "onnxruntime-tensorrt": Entry(
        "deploy.runtime.backends.ort",
        "open_tensorrt",
        (".onnx",),
        precisions=("fp32", "fp16", "int8_symmetric"),
        dynamic_size=False,
    ),
}
"""Backends by name, in the order in which they are tried when none is named."""


def open_backend(name: str | None, artefact: Path, spec: ArtefactSpec, threads: int = 0) -> Backend:
    """Open an artefact in the backend ``name``, or in the first one that runs here when ``name`` is None.

    ``threads`` 0 means every core that this process may use. Where none is named, an engine that is damaged, was built
    elsewhere or from another graph, or fails to open, is passed over with a warning: what it was built from runs
    without it.

    Raises:
        BackendUnavailable: the backend is unknown, does not take this kind of file or cannot run here, or none can.
        ArtefactError: the backend cannot read the artefact, or the engine of one that was named.
    """
    if name is not None:
        return _open(name, artefact, spec, threads)
    reasons = []
    for candidate, entry in BACKENDS.items():
        try:
            return _open(candidate, artefact, spec, threads)
        except (ArtefactError, EngineUnusable) as error:
            if artefact.suffix == ENGINE or ENGINE not in entry.suffixes:
                raise
            logger.warning("%s: its engine is passed over: %s", in_one_line(str(artefact)), in_one_line(str(error)))
            reasons.append(f"  {error}")
        except BackendUnavailable as error:
            reasons.append(f"  {error}")
    raise BackendUnavailable(f"{artefact}: no backend runs it here:\n" + "\n".join(reasons))


def check_name(name: str) -> Entry:
    """Return the entry of a backend; raises :class:`BackendUnavailable` listing the known names."""
    if name not in BACKENDS:
        raise BackendUnavailable(f"{name}: no such backend; known: {', '.join(BACKENDS)}")
    return BACKENDS[name]


def closed(name: str) -> BackendClosed:
    """The error of a run that begins after the backend ``name`` was closed."""
    return BackendClosed(f"{name}: the detector is closed; open the artefact again with deploy.load")


@contextmanager
def running(name: str, artefact: str) -> Iterator[None]:
    """Name the artefact where a runtime's own call fails; each has exceptions of its own, and none knows the file.

    Raises:
        ArtefactError: in the place of whatever the runtime raised, but for a want of memory, which is no fault of it.
    """
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:
        raise ArtefactError(f"{artefact}: {name} failed while it ran: {error}; export it again") from error


def resolve_threads(threads: int) -> int:
    """Return the number of CPU threads that ``threads`` means: 0 is every core that this process may use."""
    if threads < 0:
        raise ValueError(f"threads must be 0 (every core) or more, got {threads}")
    return threads or usable_cores()


def _open(name: str, artefact: Path, spec: ArtefactSpec, threads: int) -> Backend:
    entry = check_name(name)
    if artefact.suffix not in entry.suffixes:
        raise BackendUnavailable(f"{name}: takes {' or '.join(entry.suffixes)} files, got {artefact}")
    if not entry.takes(spec.precision):
        raise BackendUnavailable(
            f"{name}: takes {' or '.join(entry.precisions or ())} artefacts, {artefact} is {spec.precision}"
        )
    if spec.dynamic_size and not entry.dynamic_size:
        raise BackendUnavailable(
            f"{name}: engines are built for one height and width, {artefact} has a dynamic size; use ONNX Runtime or "
            "OpenVINO, or set export.dynamic_size: false in params.yaml and export it again"
        )
    return entry.load()(artefact, spec, resolve_threads(threads))
