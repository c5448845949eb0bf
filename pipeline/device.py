"""What this machine is, as far as it decides how fast an artefact runs.

The record is a dependency of every benchmark, so that it must be equal between two runs on one machine: it holds no
time stamp and no number that moves from boot to boot. It is made on every ``dvc repro``, so that nothing heavy (torch)
is imported for it.
"""

import logging
import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from deploy.runtime.resources import memory_allowed, usable_cores
from pipeline.records import DeviceRecord

logger = logging.getLogger(__name__)

_CPU_INFO = Path("/proc/cpuinfo")
_MIB = 1 << 20
# The kernel's own share moves the total by a few MiB between boots.
_MEMORY_STEP = 256 * _MIB
_NVIDIA_SMI = "nvidia-smi"
_NVIDIA_TIMEOUT_S = 20

# The kernel's names (arch/x86/include/asm/cpufeatures.h, arch/arm64/kernel/cpuinfo.c) to the usual ones.
INSTRUCTION_SETS = {
    "sse4_2": "sse4_2",
    "avx": "avx",
    "avx2": "avx2",
    "fma": "fma",
    "f16c": "f16c",
    "avx_vnni": "avx_vnni",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512_vnni": "avx512_vnni",
    "avx512_bf16": "avx512_bf16",
    "avx512_fp16": "avx512_fp16",
    "amx_tile": "amx_tile",
    "amx_bf16": "amx_bf16",
    "amx_int8": "amx_int8",
    "amx_fp16": "amx_fp16",
    "asimd": "neon",
    "asimdhp": "neon_fp16",
    "asimddp": "neon_dotprod",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
}

LIBRARIES = (
    "dvc",
    "mmcv",
    "mmcv-lite",
    "mmdet",
    "mmengine",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxscript",
    "opencv-python",
    "opencv-python-headless",
    "openvino",
    "tensorrt",
    "tensorrt-rtx",
    "torch",
    "torchvision",
)


class Cpu(NamedTuple):
    """Name of a processor and those of its instruction sets that inference kernels are chosen by."""

    name: str
    instruction_sets: list[str]


class Gpu(NamedTuple):
    """The NVIDIA GPUs of a machine: name (with their number if several), memory of the first, driver version."""

    name: str
    memory_bytes: int | None
    driver: str


def describe_device() -> DeviceRecord:
    """Describe this machine; two calls on an unchanged machine return equal records.

    ``cores`` and ``memory_bytes`` are what this process may use, within its container's limits; memory is rounded down
    to whole 256 MiB. What cannot be found out is ``None`` (GPU) or the architecture's name (CPU). Libraries that are
    not installed are left out.
    """
    cpu = parse_cpu_info(_read(_CPU_INFO))
    gpu = _query_gpu()
    return DeviceRecord(
        cpu=cpu.name or platform.processor() or platform.machine(),
        architecture=platform.machine(),
        instruction_sets=cpu.instruction_sets,
        cores=usable_cores(),
        memory_bytes=_memory_bytes(),
        gpu=gpu.name if gpu else None,
        gpu_memory_bytes=gpu.memory_bytes if gpu else None,
        driver=gpu.driver if gpu else None,
        operating_system=_operating_system(),
        python=platform.python_version(),
        libraries=_library_versions(LIBRARIES),
    )


def parse_cpu_info(text: str) -> Cpu:
    """Read ``/proc/cpuinfo`` of x86 (``model name``, ``flags``) or ARM (``CPU part``, ``Features``).

    An ARM processor is named by the codes of its implementer and part, which is all that the kernel gives. An empty
    text gives an empty name.
    """
    entries: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        entries.setdefault(key.strip().lower(), " ".join(value.split()))
    name = entries.get("model name", "")
    if not name and "cpu part" in entries:
        name = f"ARM implementer {entries.get('cpu implementer', '?')} part {entries['cpu part']}"
    present = set((entries.get("flags") or entries.get("features") or "").split())
    return Cpu(name, sorted(common for kernel, common in INSTRUCTION_SETS.items() if kernel in present))


def parse_gpu_query(text: str) -> Gpu | None:
    """Read ``nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits``.

    Memory is in MiB, ``[N/A]`` on GPUs that share the machine's; no line, no GPU.
    """
    rows = [[field.strip() for field in line.split(",")] for line in text.splitlines() if line.count(",") == 2]
    if not rows:
        return None
    name, memory, driver = rows[0]
    memory_bytes = int(memory) * _MIB if memory.isdecimal() else None
    return Gpu(name if len(rows) == 1 else f"{len(rows)} x {name}", memory_bytes, driver)


def _query_gpu() -> Gpu | None:
    if shutil.which(_NVIDIA_SMI) is None:
        return None
    command = [_NVIDIA_SMI, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=_NVIDIA_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        logger.warning("%s is installed and fails, the machine counts as one without a GPU: %s", _NVIDIA_SMI, error)
        return None
    return parse_gpu_query(result.stdout)


def _memory_bytes() -> int:
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    allowed = memory_allowed()
    return (whole if allowed is None else min(whole, allowed)) // _MEMORY_STEP * _MEMORY_STEP


def _operating_system() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return f"{platform.system()} {platform.release()}"
    return " ".join(filter(None, [release.get("NAME", platform.system()), release.get("VERSION_ID")]))


def _library_versions(names: tuple[str, ...]) -> dict[str, str]:
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
