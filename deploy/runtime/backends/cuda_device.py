"""Which CUDA device is here, asked of the driver itself: no package is needed to learn that there is none."""

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.runtime.errors import BackendUnavailable

_LIBRARY = "libcuda.so.1"
_DRIVER_VERSION = Path("/sys/module/nvidia/version")
# cuda.h: CUdevice_attribute and the length that its own samples give to names.
_COMPUTE_CAPABILITY_MAJOR, _COMPUTE_CAPABILITY_MINOR = 75, 76
_NAME_BYTES = 256
_BUS_ID_BYTES = 32


@dataclass(frozen=True)
class CudaDevice:
    """A GPU: ``compute_capability`` as ``8.6``; ``driver`` as ``580.65.06``, or ``CUDA 13.0`` where it has no file."""

    name: str
    compute_capability: str
    driver: str


def find_device() -> CudaDevice:
    """Describe the first CUDA device that this process may use (``CUDA_VISIBLE_DEVICES``).

    Raises:
        BackendUnavailable: there is no driver or no device; the message starts with ``no CUDA device``.
    """
    try:
        driver = ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise BackendUnavailable(f"no CUDA device: the NVIDIA driver is not installed ({error})") from error
    return describe_device(driver, _read(_DRIVER_VERSION))


def pci_bus_id() -> str:
    """PCI bus id of the first CUDA device that this process may use, as ``0000:65:00.0``.

    Raises:
        BackendUnavailable: there is no driver or no device.
    """
    find_device()
    driver = ctypes.CDLL(_LIBRARY)
    text, device = ctypes.create_string_buffer(_BUS_ID_BYTES), ctypes.c_int()
    _check(driver, driver.cuDeviceGet(ctypes.byref(device), 0))
    _check(driver, driver.cuDeviceGetPCIBusId(text, _BUS_ID_BYTES, device))
    return text.value.decode()


def describe_device(driver: Any, version: str) -> CudaDevice:
    """Ask the loaded CUDA driver library; ``version`` is the kernel module's, empty where it says nothing.

    Raises:
        BackendUnavailable: the driver finds no device or fails.
    """
    _check(driver, driver.cuInit(0))
    device, count, major, minor, cuda = (ctypes.c_int() for _ in range(5))
    _check(driver, driver.cuDeviceGetCount(ctypes.byref(count)))
    if not count.value:
        raise BackendUnavailable("no CUDA device: the NVIDIA driver sees none (is CUDA_VISIBLE_DEVICES empty?)")
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _check(driver, driver.cuDeviceGet(ctypes.byref(device), 0))
    _check(driver, driver.cuDeviceGetName(name, _NAME_BYTES, device))
    _check(driver, driver.cuDeviceGetAttribute(ctypes.byref(major), _COMPUTE_CAPABILITY_MAJOR, device))
    _check(driver, driver.cuDeviceGetAttribute(ctypes.byref(minor), _COMPUTE_CAPABILITY_MINOR, device))
    _check(driver, driver.cuDriverGetVersion(ctypes.byref(cuda)))
    supported = f"CUDA {cuda.value // 1000}.{cuda.value % 1000 // 10}"
    return CudaDevice(name.value.decode(), f"{major.value}.{minor.value}", version or supported)


def _check(driver: Any, status: int) -> None:
    if status:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(status, ctypes.byref(text))
        reason = text.value.decode() if text.value else "unknown error"
        raise BackendUnavailable(f"no CUDA device: the NVIDIA driver says: {reason} ({status})")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
