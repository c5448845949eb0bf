"""TensorRT-RTX really builds the artefacts: every family and precision, ahead of time, without a GPU.

It says nothing about latency or results: running an engine needs a GPU. `make trt-check` installs what it needs.
"""

from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import ModelProto
from onnx.helper import make_node

from deploy.backends.tensorrt_module import import_tensorrt
from deploy.detector import DeployableDetector
from deploy.engine_builder import BuildOptions, build_plan
from deploy.engine_file import Profile
from deploy.errors import ArtefactError
from deploy.export import export_onnx
from deploy.portable import read_portable
from tests.deploy.embedded import SIZE as EMBEDDED_SIZE
from tests.deploy.embedded import load_teacher
from tests.deploy.stock import HEADS, spec, stock_detector
from tests.deploy.stock import SIZE as STOCK_SIZE
from tests.deploy.typed_graphs import typed

pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed; run `make trt-check`")
pytestmark = pytest.mark.trt

# Turing, Ampere (data centre, desktop), Ada, Blackwell (desktop, GB10): all that TensorRT-RTX builds for.
COMPUTE_CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
OPTIONS = BuildOptions((Profile(1, 1, 1), Profile(1, 4, 8)), 1024, compute_capabilities=COMPUTE_CAPABILITIES)


@pytest.fixture(scope="module", params=[*HEADS, "embedded teacher"])
def artefact(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("artefacts") / "model.onnx"
    if request.param in HEADS:
        detector, size = stock_detector(request.param), STOCK_SIZE
    else:
        detector, size = load_teacher(path.parent), EMBEDDED_SIZE
    export_onnx(DeployableDetector(detector, spec(10, input_height=size, input_width=size)), path, opset=18)
    return path


@pytest.fixture(scope="module")
def portable(artefact: Path) -> ModelProto:
    return read_portable(artefact, passes=16)


@pytest.fixture(scope="module")
def trt() -> Any:
    return import_tensorrt()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_every_family_builds_in_every_precision(trt: Any, portable: ModelProto, precision: str) -> None:
    plan = build_plan(trt, typed(portable, precision), OPTIONS, precision)
    assert len(plan.content) > 100_000


def test_the_operator_that_does_not_build_is_named(trt: Any, artefact: Path) -> None:
    with pytest.raises(ArtefactError, match=r"students\.onnx: tensorrt.* does not build NonMaxSuppression \(node_NonM"):
        build_plan(trt, onnx.load(artefact), OPTIONS, "students.onnx")


def test_the_operator_that_is_not_parsed_is_named(trt: Any, portable: ModelProto) -> None:
    model = ModelProto.FromString(portable.SerializeToString())
    model.graph.node[0].CopyFrom(
        make_node("Transpose", model.graph.node[0].input, model.graph.node[0].output, "turned", perm=[0, 1, 2, 3])
    )
    with pytest.raises(ArtefactError, match=r"x\.onnx: tensorrt.* cannot parse it:\n  Transpose \(turned\)"):
        build_plan(trt, model, OPTIONS, "x.onnx")
