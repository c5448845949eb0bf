"""TensorRT-RTX really builds the artefacts: every family and precision, ahead of time, without a GPU.

It says nothing about latency or results: running an engine needs a GPU. `make trt-check` installs what it needs.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import onnx
import pytest
from onnx.helper import make_node

from deploy.engines.builder import BuildOptions, build_plan, trial_graph
from deploy.engines.engine import PRECISIONS
from deploy.engines.portable import read_portable
from deploy.graph.export import export_onnx
from deploy.graph.exported_module import DeployableDetector
from deploy.precision.calibration import activation_ranges
from deploy.precision.fp16 import to_fp16
from deploy.precision.network import load_exported
from deploy.precision.quantisation import CALIBRATED, FORMS, Quantiser
from deploy.runtime.backends.tensorrt_module import import_tensorrt
from deploy.runtime.engine_file import Profile
from deploy.runtime.errors import ArtefactError
from tests.deploy.embedded import SIZE as EMBEDDED_SIZE
from tests.deploy.embedded import load_teacher
from tests.deploy.stock import DEFORMABLE, HEADS, noise_images, spec, stock_detector
from tests.deploy.stock import SIZE as STOCK_SIZE

pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed; run `make trt-check`")
pytestmark = pytest.mark.trt

# Turing, Ampere (data centre, desktop), Ada, Blackwell (desktop, GB10): all that TensorRT-RTX builds for.
COMPUTE_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
OPTIONS = BuildOptions((Profile(1, 1, 1), Profile(1, 4, 8)), 1024, compute_capabilities=COMPUTE_CAPABILITIES)


@pytest.fixture(scope="module", params=[*(name for name in HEADS if name not in DEFORMABLE), "embedded teacher"])
def artefact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("artefacts") / "model.onnx"
    if request.param in HEADS:
        detector, size = stock_detector(request.param), STOCK_SIZE
    else:
        detector, size = load_teacher(path.parent), EMBEDDED_SIZE
    export_onnx(DeployableDetector(detector, spec(10, input_height=size, input_width=size)), path, opset=18)
    return path


@pytest.fixture(scope="module")
def graphs(artefact: Path) -> dict[str, Path]:
    """The artefact in every precision, made as the precision stage makes them (calibrated on noise)."""
    model, found = load_exported(artefact)
    images = [artefact.with_name(f"{number}.png") for number in range(2)]
    for file, image in zip(images, noise_images(2).numpy(), strict=True):
        cv2.imwrite(str(file), image)
    quantiser = Quantiser(model, activation_ranges(model, found, images, CALIBRATED), FORMS["int8_symmetric"])
    files = {"fp32": artefact}
    for precision, graph in (("fp16", to_fp16(model)), ("int8_symmetric", quantiser.keeping([]))):
        files[precision] = artefact.with_name(f"model.{precision}.onnx")
        onnx.helper.set_model_props(graph, replace(found, precision=precision).to_metadata())
        onnx.save(graph, files[precision])
    return files


@pytest.fixture(scope="module")
def trt() -> Any:
    return import_tensorrt()


@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_family_builds_in_every_precision(trt: Any, graphs: dict[str, Path], precision: str) -> None:
    plan = build_plan(trt, read_portable(graphs[precision], passes=16), OPTIONS, precision)
    assert len(plan.content) > 100_000


def test_the_graph_that_tells_whether_an_engine_runs_builds(trt: Any) -> None:
    assert build_plan(trt, trial_graph(), replace(OPTIONS, profiles=(Profile(1, 1, 1),)), "trial").content


def test_the_operator_that_does_not_build_is_named(trt: Any, artefact: Path) -> None:
    with pytest.raises(ArtefactError, match=r"students\.onnx: tensorrt.* does not build NonMaxSuppression \(node_NonM"):
        build_plan(trt, onnx.load(artefact), OPTIONS, "students.onnx")


def test_the_operator_that_is_not_parsed_is_named(trt: Any, artefact: Path) -> None:
    model = read_portable(artefact, passes=2)
    model.graph.node[0].CopyFrom(
        make_node("Transpose", model.graph.node[0].input, model.graph.node[0].output, "turned", perm=[0, 1, 2, 3])
    )
    with pytest.raises(ArtefactError, match=r"x\.onnx: tensorrt.* cannot parse it:\n  Transpose \(turned\)"):
        build_plan(trt, model, OPTIONS, "x.onnx")
