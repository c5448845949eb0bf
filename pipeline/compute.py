"""Which device, precision and cores this machine computes with."""

import os

import torch

from deploy.runtime.resources import usable_cores
from pipeline.errors import SettingsError


def use_own_cores() -> None:
    """Keep torch to the cores that this process may use, where ``OMP_NUM_THREADS`` does not say how many.

    Torch counts those that it may run on, and knows nothing of the CPU time that a container gets: with a thread for
    each core of a large machine, most of them wait.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))


def choose_device(requested: str) -> torch.device:
    """``auto`` is the GPU where there is one; raises :class:`SettingsError` for ``cuda`` without a GPU."""
    available = torch.cuda.is_available()
    if requested == "cuda" and not available:
        raise SettingsError("params.yaml: train.device is 'cuda', but torch sees no CUDA device; use 'auto' or 'cpu'")
    return torch.device("cuda" if available and requested != "cpu" else "cpu")


def choose_precision(requested: str, device: torch.device) -> str:
    """``auto`` is bf16 where the hardware computes in it, else fp16 on GPUs and fp32 on CPUs.

    Raises:
        SettingsError: ``fp16`` on a CPU, whose gradients would underflow without a scaler.
    """
    if requested == "fp16" and device.type == "cpu":
        raise SettingsError("params.yaml: train.precision is 'fp16', which a CPU cannot train in; use 'auto' or 'bf16'")
    if requested != "auto":
        return requested
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if _cpu_has_bf16() else "fp32"


def _cpu_has_bf16() -> bool:
    checks = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(check() for check in checks if check is not None)
