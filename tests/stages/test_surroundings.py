"""The stage as DVC runs it: it must be quick, because every `dvc repro` runs it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from pipeline.datasets.source_files import SourceFiles
from pipeline.layout import DEVICE, SOURCE_FILES
from pipeline.records import DeviceRecord

ROOT = Path(__file__).resolve().parents[2]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )


def test_two_runs_write_the_same_bytes(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    run(tmp_path, "-m", "stages.surroundings")
    first = [(tmp_path / path).read_bytes() for path in (DEVICE, SOURCE_FILES)]
    run(tmp_path, "-m", "stages.surroundings")
    assert [(tmp_path / path).read_bytes() for path in (DEVICE, SOURCE_FILES)] == first
    assert DeviceRecord.read(tmp_path / DEVICE).cpu
    assert SourceFiles.read(tmp_path / SOURCE_FILES).name == "digits"


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    script = "import sys; from stages.surroundings import main; main([]); print(*sys.modules)"
    modules = set(run(tmp_path, "-c", script).stdout.split())
    assert not modules & {"torch", "mmengine", "mmdet", "numpy", "cv2", "onnxruntime", "openvino"}
