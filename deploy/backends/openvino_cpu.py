"""OpenVINO on the CPU."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.artefact import INPUT_NAME, OUTPUT_NAMES, ArtefactSpec
from deploy.backends import RawDetections
from deploy.errors import ArtefactError, BackendUnavailable

_DEVICE = "CPU"
# Left alone, OpenVINO computes in bf16 where the CPU has it: another precision than the artefact's.
_INFERENCE_PRECISION = "f32"


class OpenVinoBackend:
    """One compiled model and its inference request."""

    name = "openvino"
    device = "cpu"

    def __init__(self, compiled: Any, version: str, precision: str, threads: int) -> None:
        self.version = version
        self.precision = precision
        self.threads = threads
        self._request = compiled.create_infer_request()
        self._outputs = [compiled.output(name) for name in OUTPUT_NAMES]

    def run(self, images: NDArray[np.uint8]) -> RawDetections:
        """See :meth:`deploy.backends.Backend.run`."""
        results = self._request.infer({INPUT_NAME: images}, share_inputs=True)
        return RawDetections(*(results[output] for output in self._outputs))


def open_cpu(artefact: Path, spec: ArtefactSpec, threads: int) -> OpenVinoBackend:
    """Open an artefact on the CPU with ``threads`` threads, tuned for latency."""
    openvino = _import()
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": _INFERENCE_PRECISION,
    }
    try:
        core = openvino.Core()
        model = core.read_model(os.fspath(artefact))
        _check_names(artefact, model)
        compiled = core.compile_model(model, _DEVICE, config)
    except RuntimeError as error:
        raise ArtefactError(f"{artefact}: OpenVINO cannot run it: {error}; export it again") from error
    used = int(compiled.get_property("INFERENCE_NUM_THREADS"))
    return OpenVinoBackend(compiled, openvino.__version__.split("-")[0], spec.precision, used)


def _import() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise BackendUnavailable(
            f"openvino: the package openvino cannot be imported ({error}); pip install openvino"
        ) from error
    return openvino


def _check_names(artefact: Path, model: Any) -> None:
    inputs = [tensor.any_name for tensor in model.inputs]
    outputs = {name for tensor in model.outputs for name in tensor.names}
    if inputs != [INPUT_NAME] or not set(OUTPUT_NAMES) <= outputs:
        raise ArtefactError(
            f"{artefact}: a graph from {[INPUT_NAME]} to {list(OUTPUT_NAMES)} is needed, got {inputs} to "
            f"{sorted(outputs)}; export it again"
        )
