"""What the machine of a proof is: ``python -m benchmarks.gpu_proof.machine`` prints it as JSON, in its own process."""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.gpu_proof.record import Machine

LOCK = Path("requirements.lock")
PACKAGES = (
    "torch",
    "torchvision",
    "triton",
    "numpy",
    "mmengine",
    "mmcv",
    "mmcv-lite",
    "mmdet",
    "pycocotools",
    "pydantic",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx",
    "cuda-bindings",
    "opencv-python-headless",
)
_SMI_FIELDS = ("driver_version", "clocks.max.sm", "power.limit", "persistence_mode", "mig.mode.current")
_TIMEOUT_S = 60


def ask_machine(rehearse: bool) -> Machine:
    """Describe this machine from a process of its own, so that nothing that its torch does ends this one."""
    command = [sys.executable, "-m", "benchmarks.gpu_proof.machine"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        machine = Machine(**json.loads(told.stdout.splitlines()[-1]))
    except subprocess.TimeoutExpired:
        machine = Machine(reason=f"torch did not answer within {_TIMEOUT_S} s", facts=host_facts())
    except (IndexError, ValueError, TypeError):
        last = (told.stderr.strip().splitlines() or ["it said nothing"])[-1]
        machine = Machine(reason=f"torch cannot be asked: {last}", facts=host_facts())
    machine.rehearsal = rehearse
    return machine


def describe_machine() -> Machine:
    """This machine, and the first CUDA device that torch sees."""
    versions = installed_versions()
    machine = Machine(facts=host_facts(), versions=versions, unlocked=differing(versions, LOCK))
    try:
        import torch
    except (ImportError, OSError) as error:
        machine.reason = f"torch cannot be imported: {error}"
        return machine
    if not torch.cuda.is_available():
        driver = "" if shutil.which("nvidia-smi") else "; nvidia-smi is not installed"
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        machine.reason = f"no CUDA device: torch {torch.__version__} ({built}) sees none{driver}"
        return machine
    properties = torch.cuda.get_device_properties(0)
    machine.gpu = properties.name
    machine.facts |= {
        "GPU": properties.name
        if torch.cuda.device_count() == 1
        else f"{torch.cuda.device_count()} x {properties.name}",
        "compute capability": f"{properties.major}.{properties.minor}",
        "GPU memory": f"{properties.total_memory / 2**30:.1f} GiB",
        "multiprocessors": str(properties.multi_processor_count),
        "CUDA of torch": str(torch.version.cuda),
        "cuDNN": str(torch.backends.cudnn.version()),
        **smi_facts(),
    }
    return machine


def host_facts() -> dict[str, str]:
    """Processor, cores, system and Python."""
    names = re.findall(r"^model name\s*: (.*)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": f"{names[0] if names else platform.machine()}, {cores} cores",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
    }


def smi_facts() -> dict[str, str]:
    """What nvidia-smi says of the first GPU; nothing where it is missing or fails."""
    command = ["nvidia-smi", "--id=0", f"--query-gpu={','.join(_SMI_FIELDS)}", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    titles = ("driver", "highest clock", "power limit", "persistence mode", "MIG")
    return dict(zip(titles, (value.strip() for value in told.split(",")), strict=False))


def installed_versions() -> dict[str, str]:
    """Versions of the packages that the parts use, those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def differing(versions: dict[str, str], lock: Path) -> dict[str, str]:
    """Of installed packages the locked version, where it is another one."""
    locked = dict(re.findall(r"^([\w.-]+)==([^\s;]+)", _read(lock), re.MULTILINE))
    return {name: locked[name] for name, found in versions.items() if locked.get(name, found) != found}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def main() -> None:
    """Print what this machine is as json."""
    argparse.ArgumentParser(prog="python -m benchmarks.gpu_proof.machine", description=main.__doc__).parse_args()
    print(json.dumps(asdict(describe_machine())))


if __name__ == "__main__":
    main()
