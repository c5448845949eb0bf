"""What each stage loads before it knows what there is to do: those that compute without torch must not wait for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "mmdet", "mmengine", "onnx", "onnxruntime", "openvino", "sklearn", "scipy", "matplotlib", "cv2")
LOADS: dict[str, set[str]] = {
    "surroundings": set(),
    "data": {"cv2"},
    "precision": {"cv2", "onnx", "onnxruntime", "scipy"},
    "engine": {"onnx"},
    "benchmark": {"cv2", "scipy"},
    "compare": {"cv2"},
    "choose": {"cv2", "scipy"},
    "label": set(),
    "report": {"cv2", "matplotlib", "scipy"},
}
WITH_TORCH = {"recipes", "teacher", "train", "distill", "evaluate", "export"}


def test_every_stage_is_listed() -> None:
    names = {path.stem for path in Path("stages").glob("[a-z]*.py")}
    assert names == {*LOADS} | WITH_TORCH


@pytest.mark.parametrize(("stage", "wanted"), LOADS.items(), ids=LOADS)
def test_a_stage_loads_no_more_than_it_needs(stage: str, wanted: set[str]) -> None:
    code = f"import json, sys, stages.{stage}; print(json.dumps([name for name in {HEAVY} if name in sys.modules]))"
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {*json.loads(made.stdout)} <= wanted


@pytest.mark.parametrize("module", ["deploy.graph.dry_run", "pipeline.detectors"])
def test_whoever_comes_to_mmdet_first_finds_its_operators(module: str) -> None:
    made = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
