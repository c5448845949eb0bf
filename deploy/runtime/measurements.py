"""What is measured of an artefact: the form in which the worker hands it on, and in which the record keeps it."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self


@dataclass(frozen=True)
class GpuUse:
    """The whole device over the calls of one batch size, the warm-up among them, by NVML.

    Attributes:
        memory_bytes: the most that was in use, by all processes.
        sm_clock_mhz, memory_clock_mhz, power_w: means of samples every 20 ms; None where the device does not tell.
        energy_per_image_j: by the device's own counter where it moved (Volta and later), else from power and time.
    """

    # For pydantic, whose records hold these: another key is an error there as in any record.
    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    memory_bytes: int
    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    power_w: float | None
    energy_per_image_j: float | None


@dataclass(frozen=True)
class Latency:
    """Latency of one call with ``batch_size`` decoded images, in milliseconds.

    ``p50`` to ``mean`` are of the whole call. A bound is what the percentile does not exceed with a confidence of 99 %,
    None where the calls are too few to say (:mod:`deploy.timing.early_stopping`). The phases are means, so that they
    add up to ``mean``; ``decoding``, of the image files of a batch, comes on top of it. ``spread`` is the distance of
    the quartiles over the median; ``noisy``: it was larger than ``benchmark.noise_limit``. Throughput is ``batch_size``
    over the mean.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    batch_size: int
    warmup_calls: int
    calls: int
    p50: float
    p90: float
    p95: float
    p99: float
    p90_bound: float | None
    p99_bound: float | None
    mean: float
    spread: float
    noisy: bool
    decoding: float
    preprocessing: float
    host_to_device: float
    inference: float
    device_to_host: float
    postprocessing: float
    images_per_second: float
    gpu: GpuUse | None

    @property
    def from_files(self) -> float:
        """End to end: from image files to detections, the mean."""
        return self.decoding + self.mean

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """From what ``dataclasses.asdict`` made of one."""
        return cls(**{**content, "gpu": GpuUse(**content["gpu"]) if content["gpu"] else None})
