"""Ranges of the activations of a GFL-R50 with random weights, for int8."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx

from benchmarks.random_artefacts import export_random
from deploy.precision.calibration import activation_ranges
from deploy.precision.network import load_exported
from deploy.precision.quantisation import CALIBRATED
from deploy.runtime.artefact import ArtefactSpec

RECIPE = Path("configs/students/twin_gfl_r50_1x_coco.py")
_IMAGES = 3


def prepare(width: int) -> Callable[[], object]:
    """Export the model for a canvas of ``width`` and COCO's aspect ratio, and write a few images."""
    model, spec, files = exported_with_images(width)
    return lambda: activation_ranges(model, spec, files, CALIBRATED)


def exported_with_images(width: int) -> tuple[onnx.ModelProto, ArtefactSpec, list[Path]]:
    """The graph, how it is fed, and images of the size of its canvas."""
    height = round(width * 800 / 1344 / 32) * 32
    folder = Path(tempfile.mkdtemp())
    model, spec = load_exported(export_random(RECIPE, (height, width), folder)[1])
    random = np.random.default_rng(0)
    files = [folder / f"{number}.png" for number in range(_IMAGES)]
    for file in files:
        coarse = random.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
        cv2.imwrite(str(file), cv2.resize(coarse, (width, height)))
    return model, spec, files
