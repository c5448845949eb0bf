"""The stage as DVC runs it: it must be quick, because every `dvc repro` runs it."""

import os
import subprocess
import sys
from pathlib import Path

from pipeline.records import DeviceRecord

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    run(tmp_path, "-m", "stages.device")
    first = (tmp_path / "reports/device.json").read_bytes()
    run(tmp_path, "-m", "stages.device")
    assert (tmp_path / "reports/device.json").read_bytes() == first
    assert DeviceRecord.read(tmp_path / "reports/device.json").cpu


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    script = "import sys; from stages.device import main; main([]); print(*sys.modules)"
    modules = set(run(tmp_path, "-c", script).stdout.split())
    assert not modules & {"torch", "mmengine", "mmdet", "numpy", "cv2", "onnxruntime", "openvino"}
