"""What a GPU uses while it is measured: memory, clocks, power and energy, by NVML (the package nvidia-ml-py)."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import fmean
from threading import Event, Thread
from time import perf_counter
from types import ModuleType
from typing import Any, Self

from deploy.runtime.backends.cuda_device import pci_bus_id
from deploy.runtime.errors import BackendUnavailable
from deploy.runtime.measurements import GpuUse

_INTERVAL_S = 0.02


@dataclass(frozen=True)
class Sample:
    """One look at the device."""

    memory_bytes: int
    sm_clock_mhz: float | None
    memory_clock_mhz: float | None
    power_w: float | None


@dataclass
class Watch:
    """What was seen between two moments."""

    samples: list[Sample] = field(default_factory=list)
    seconds: float = 0.0
    counted_j: float = 0.0

    def use(self, images: int) -> GpuUse:
        """Summarise for ``images`` images; at least one sample is there."""
        power = _mean([sample.power_w for sample in self.samples])
        energy = self.counted_j or (None if power is None else power * self.seconds)
        return GpuUse(
            memory_bytes=max(sample.memory_bytes for sample in self.samples),
            sm_clock_mhz=_mean([sample.sm_clock_mhz for sample in self.samples]),
            memory_clock_mhz=_mean([sample.memory_clock_mhz for sample in self.samples]),
            power_w=power,
            energy_per_image_j=None if energy is None else energy / images,
        )


class GpuMonitor:
    """Looks at one device through NVML.

    Args:
        nvml: the module ``pynvml``.
        bus_id: PCI bus id of the device: NVML counts devices in another order than CUDA.

    Raises:
        BackendUnavailable: NVML does not start, has no such device, or does not know its memory.
    """

    def __init__(self, nvml: ModuleType, bus_id: str) -> None:
        self._nvml = nvml
        try:
            nvml.nvmlInit()
            self._device = nvml.nvmlDeviceGetHandleByPciBusId(bus_id)
            self.sample()
        except nvml.NVMLError as error:
            raise BackendUnavailable(f"NVML does not show device {bus_id}: {error}") from error

    @classmethod
    def open(cls) -> Self:
        """Watch the first CUDA device that this process may use.

        Raises:
            BackendUnavailable: there is no device, or no nvidia-ml-py.
        """
        bus_id = pci_bus_id()
        try:
            import pynvml
        except ImportError as error:
            raise BackendUnavailable(
                f"the package nvidia-ml-py cannot be imported ({error}); make setup GPU=1"
            ) from error
        return cls(pynvml, bus_id)

    def sample(self) -> Sample:
        """Look once."""
        nvml, device = self._nvml, self._device
        milliwatts = self._ask(nvml.nvmlDeviceGetPowerUsage, device)
        return Sample(
            memory_bytes=int(nvml.nvmlDeviceGetMemoryInfo(device).used),
            sm_clock_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, device, nvml.NVML_CLOCK_SM),
            memory_clock_mhz=self._ask(nvml.nvmlDeviceGetClockInfo, device, nvml.NVML_CLOCK_MEM),
            power_w=None if milliwatts is None else milliwatts / 1e3,
        )

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Look every 20 ms from a thread of its own, at least once; the result is complete when the block ends."""
        watched, done = Watch([self.sample()]), Event()

        def look() -> None:
            while not done.wait(_INTERVAL_S):
                watched.samples.append(self.sample())

        thread = Thread(target=look, daemon=True)
        start, before = perf_counter(), self._energy_j()
        thread.start()
        try:
            yield watched
        finally:
            done.set()
            thread.join()
            watched.seconds = perf_counter() - start
            watched.counted_j = self._energy_j() - before

    def _energy_j(self) -> float:
        return (self._ask(self._nvml.nvmlDeviceGetTotalEnergyConsumption, self._device) or 0.0) / 1e3

    def _ask(self, function: Callable[..., int], *arguments: Any) -> float | None:
        """What NVML answers; None where the device does not support the question."""
        nvml: Any = self._nvml
        try:
            return float(function(*arguments))
        except nvml.NVMLError_NotSupported:
            return None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
