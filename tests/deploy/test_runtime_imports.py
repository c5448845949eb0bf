"""The run-time half works in an environment that has numpy, OpenCV and one backend."""

import subprocess
import sys
from pathlib import Path

import cv2
import pytest

LEARNING_SIDE = {
    "torch",
    "torchvision",
    "mmdet",
    "mmengine",
    "mmcv",
    "onnx",
    "onnxscript",
    "pydantic",
    "pycocotools",
    "pipeline",
    "PIL",
}

BLOCK = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ImportError(f"blocked: {{name}}")
sys.meta_path.insert(0, Blocked())
"""


def run(code: str, blocked: set[str]) -> str:
    script = BLOCK.format(names=blocked) + code
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("backend", "other"), [("onnxruntime", "openvino"), ("openvino", "onnxruntime")])
def test_load_and_detect(backend: str, other: str, artefact: Path, red_box, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), red_box(64, 96, (30, 10, 50, 20)))
    code = (
        f"import deploy\ndetector = deploy.load({str(artefact)!r}, threads=1)\n"
        f"found = detector({str(tmp_path / 'x.png')!r})\n"
        "print(detector.backend.name, found.boxes.tolist(), found.names)"
    )
    # tqdm belongs to the command line only.
    assert run(code, {*LEARNING_SIDE, other, "tqdm"}) == f"{backend} [[30.0, 10.0, 50.0, 20.0]] ['blob']\n"


def test_command_line_and_benchmark_worker(artefact: Path, red_box, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "x.png"), red_box(64, 96, (30, 10, 50, 20)))
    code = (
        "import deploy.timing.worker, deploy.timing.isolated\nfrom deploy.prediction.predict import main\n"
        f"main([{str(artefact)!r}, {str(tmp_path / 'x.png')!r}, '--out', {str(tmp_path / 'out')!r}])"
    )
    assert run(code, LEARNING_SIDE).startswith("1 images, 0 detections")
    assert (tmp_path / "out/x.jpg").exists()


def test_opening_the_package_imports_nothing_heavy() -> None:
    code = "import deploy\nprint(sorted({'numpy', 'cv2', 'onnxruntime', 'openvino'} & set(sys.modules)))"
    assert run(code, set()) == "[]\n"
