"""Records of benchmarks, made up."""

from dataclasses import fields
from typing import Any

from deploy.runtime.measurements import Latency
from pipeline.deploy_records import BackendRun


def backend_run(backend: str, **changes: Any) -> BackendRun:
    """A rung that did not run, unless ``changes`` say otherwise."""
    values: dict[str, Any] = {
        "artefact": "fp32",
        "version": "",
        "device": "",
        "precision": "",
        "status": "not run",
        "reason": "",
        "threads": 0,
        "cores": [],
        "accuracy": None,
        "map_drop": None,
        "map_drop_interval": None,
        "worst_class": None,
        "boxes": None,
        "latency": [],
        "sweep_end": None,
        "sweep_reason": "",
        "gpu_unseen": "",
        "load_ms": None,
        "peak_memory_bytes": None,
    }
    return BackendRun(backend=backend, **values | changes)


def timed_run(backend: str, p50: float) -> BackendRun:
    """A rung of known speed at batch 1, which is much faster at batch 2."""
    latency = [_latency(1, p50), _latency(2, 0.1)]
    return backend_run(backend, status="ok", device="cpu", precision="fp32", threads=1, latency=latency)


def _latency(batch_size: int, p50: float) -> Latency:
    zeros = {each.name: 0 for each in fields(Latency) if each.name not in ("batch_size", "p50", "gpu", "noisy")}
    return Latency(batch_size=batch_size, p50=p50, noisy=False, gpu=None, **zeros)
