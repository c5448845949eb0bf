import time

import pytest

from deploy.runtime.backends.cuda_device import find_device
from deploy.runtime.errors import BackendUnavailable
from deploy.timing.gpu_monitor import GpuMonitor
from tests.deploy.simulated_nvml import Nvml

BUS = "0000:65:00.0"


def monitor(**options: object) -> GpuMonitor:
    return GpuMonitor(Nvml(**options), BUS)  # type: ignore[arg-type]


def test_what_the_device_says_is_put_into_units() -> None:
    with monitor().watch() as watched:
        pass
    use = watched.use(images=4)
    assert (use.memory_bytes, use.sm_clock_mhz, use.memory_clock_mhz, use.power_w) == (3 << 30, 1980, 2619, 350.5)
    assert use.energy_per_image_j == 0.25


def test_it_looks_again_and_again_while_the_block_runs() -> None:
    with monitor().watch() as watched:
        deadline = time.monotonic() + 5
        while len(watched.samples) < 3 and time.monotonic() < deadline:
            time.sleep(0.005)
    assert len(watched.samples) >= 3
    seen = len(watched.samples)
    time.sleep(0.05)
    assert len(watched.samples) == seen


@pytest.mark.parametrize("options", [{"counter_step_mj": 0}, {"silent": ("nvmlDeviceGetTotalEnergyConsumption",)}])
def test_without_a_counter_energy_is_power_times_time(options: dict[str, object]) -> None:
    with monitor(**options).watch() as watched:
        time.sleep(0.01)
    assert watched.use(images=2).energy_per_image_j == pytest.approx(350.5 * watched.seconds / 2)
    assert watched.seconds >= 0.01


def test_what_a_device_does_not_tell_is_none() -> None:
    silent = ("nvmlDeviceGetClockInfo", "nvmlDeviceGetPowerUsage", "nvmlDeviceGetTotalEnergyConsumption")
    with monitor(silent=silent).watch() as watched:
        pass
    use = watched.use(images=1)
    assert (use.sm_clock_mhz, use.memory_clock_mhz, use.power_w, use.energy_per_image_j) == (None,) * 4
    assert use.memory_bytes == 3 << 30


def test_an_unknown_device_says_so() -> None:
    with pytest.raises(BackendUnavailable, match=r"NVML does not show device 0000:01:00\.0: Not Found"):
        GpuMonitor(Nvml(), "0000:01:00.0")  # type: ignore[arg-type]


def test_a_device_that_does_not_tell_its_memory_is_not_watched() -> None:
    with pytest.raises(BackendUnavailable, match=r"NVML does not show device .*: nvmlDeviceGetMemoryInfo"):
        monitor(silent=("nvmlDeviceGetMemoryInfo",))


def test_without_a_gpu_it_says_why() -> None:
    try:
        find_device()
    except BackendUnavailable:
        with pytest.raises(BackendUnavailable, match="no CUDA device"):
            GpuMonitor.open()
    else:
        pytest.skip("a GPU is here")
