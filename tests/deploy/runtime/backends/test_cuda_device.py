import ctypes
from typing import Any

import pytest

from deploy.runtime.backends.cuda_device import CudaDevice, describe_device, find_device
from deploy.runtime.errors import BackendUnavailable


class Driver:
    """The CUDA driver library as far as it is asked; it writes through the pointers that it is given."""

    def __init__(self, count: int = 1, status: int = 0, failing: str = "") -> None:
        self.count = count
        self.status = status
        self.failing = failing

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> int:
            if name == self.failing:
                return self.status
            target = arguments[0]._obj if hasattr(arguments[0], "_obj") else arguments[0]
            if name == "cuDeviceGetName":
                target.value = b"NVIDIA L4"
            if name == "cuGetErrorString":
                arguments[1]._obj.value = b"no CUDA-capable device is detected"
            numbers = {"cuDeviceGetCount": self.count, "cuDriverGetVersion": 13020, "cuDeviceGet": 0}
            if name == "cuDeviceGetAttribute":
                target.value = {75: 8, 76: 9}[arguments[1]]
            elif name in numbers:
                target.value = numbers[name]
            return 0

        return call


def has_driver() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


def test_a_device_is_described() -> None:
    assert describe_device(Driver(), "580.65.06") == CudaDevice("NVIDIA L4", "8.9", "580.65.06")


def test_the_driver_without_a_version_file_is_known_by_the_cuda_that_it_supports() -> None:
    assert describe_device(Driver(), "").driver == "CUDA 13.2"


def test_no_device_says_why() -> None:
    with pytest.raises(
        BackendUnavailable, match=r"^no CUDA device: the NVIDIA driver sees none .*CUDA_VISIBLE_DEVICES"
    ):
        describe_device(Driver(count=0), "1")
    with pytest.raises(
        BackendUnavailable, match=r"^no CUDA device: .* says: no CUDA-capable device is detected \(100\)"
    ):
        describe_device(Driver(status=100, failing="cuInit"), "1")


@pytest.mark.skipif(has_driver(), reason="an NVIDIA driver is installed")
def test_a_machine_without_a_driver_says_so() -> None:
    with pytest.raises(BackendUnavailable, match=r"^no CUDA device: the NVIDIA driver is not installed \(libcuda"):
        find_device()


@pytest.mark.gpu
@pytest.mark.skipif(not has_driver(), reason="no CUDA device: the NVIDIA driver is not installed")
def test_the_device_that_is_here() -> None:
    device = find_device()
    assert device == find_device()
    assert device.name
    assert float(device.compute_capability) >= 5
    assert device.driver[0].isdigit() or device.driver.startswith("CUDA ")
