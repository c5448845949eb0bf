"""NVML without a GPU: the calls of ``pynvml`` that the monitor makes, and a device with known answers."""

from types import SimpleNamespace


class NvmlError(Exception):
    """``pynvml.NVMLError``."""


class NotSupported(NvmlError):
    """``pynvml.NVMLError_NotSupported``."""


class Nvml:
    """One device at ``0000:65:00.0``; ``silent`` calls are not supported by it."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM = 1, 2
    NVMLError, NVMLError_NotSupported = NvmlError, NotSupported

    def __init__(self, silent: tuple[str, ...] = (), counter_step_mj: int = 1000) -> None:
        self.silent = silent
        self.counter_step_mj = counter_step_mj
        self.energy_mj = 50_000

    def nvmlInit(self) -> None:
        self._answer("nvmlInit")

    def nvmlDeviceGetHandleByPciBusId(self, bus_id: str) -> str:
        if bus_id != "0000:65:00.0":
            raise NvmlError("Not Found")
        return bus_id

    def nvmlDeviceGetMemoryInfo(self, device: str) -> SimpleNamespace:
        self._answer("nvmlDeviceGetMemoryInfo")
        return SimpleNamespace(used=3 << 30)

    def nvmlDeviceGetClockInfo(self, device: str, kind: int) -> int:
        self._answer("nvmlDeviceGetClockInfo")
        return {1: 1980, 2: 2619}[kind]

    def nvmlDeviceGetPowerUsage(self, device: str) -> int:
        self._answer("nvmlDeviceGetPowerUsage")
        return 350_500

    def nvmlDeviceGetTotalEnergyConsumption(self, device: str) -> int:
        self._answer("nvmlDeviceGetTotalEnergyConsumption")
        self.energy_mj += self.counter_step_mj
        return self.energy_mj

    def _answer(self, name: str) -> None:
        if name in self.silent:
            raise NotSupported(name)
