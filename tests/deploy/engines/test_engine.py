import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest

from deploy.engines import builder, engine
from deploy.engines.builder import BuildOptions, Plan, blamed_nodes
from deploy.engines.engine import build_engines
from deploy.runtime.artefact import read_spec
from deploy.runtime.backends.cuda_device import CudaDevice, find_device
from deploy.runtime.backends.tensorrt_module import import_tensorrt
from deploy.runtime.engine_file import Profile, Target, check_graph, read_engine
from deploy.runtime.errors import ArtefactError, BackendUnavailable
from pipeline.deploy_settings import EngineSettings, ProfileSettings
from tests.deploy.runtime.backends.simulated_gpu import MODULE
from tests.deploy.tiny import save_sealed

SETTINGS = EngineSettings(profiles=[ProfileSettings(best=1, most=1), ProfileSettings(best=2, most=4)])


@pytest.fixture(scope="module")
def graph(exported_gfl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(exported_gfl, tmp_path_factory.mktemp("artefacts") / "twin.onnx"))


@pytest.fixture
def on_an_l4(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated GPU; whether TensorRT runs on it is a test of its own."""
    monkeypatch.setattr(engine, "find_device", lambda: CudaDevice("NVIDIA L4", "8.9", "580.65.06"))
    monkeypatch.setattr(engine, "import_tensorrt", lambda: MODULE)
    monkeypatch.setattr(engine, "check_runs", lambda trt, gpu: None)


def no_device() -> CudaDevice:
    raise BackendUnavailable("no CUDA device: none")


def test_without_a_gpu_the_record_says_so_and_no_engine_is_left(
    artefact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "engines/tiny"
    folder.mkdir(parents=True)
    (folder / "old.engine").touch()
    monkeypatch.setattr(engine, "find_device", no_device)
    record = build_engines("tiny", [artefact], SETTINGS, folder, tmp_path / "timing")
    assert [(build.status, build.reason, build.file) for build in record.engines] == [
        ("not built", "no CUDA device: none", None)
    ]
    assert (record.model, record.target, record.nms_passes) == ("tiny", None, 16)
    assert record.profiles == [(1, 1, 1), (1, 2, 4)]
    assert list(folder.iterdir()) == []


def test_a_foreign_graph_is_refused_also_without_a_gpu(tmp_path: Path, write) -> None:
    foreign = write(tmp_path / "foreign.onnx", metadata={})
    with pytest.raises(ArtefactError, match=r"foreign\.onnx: not an artefact of this pipeline"):
        build_engines("tiny", [foreign], SETTINGS, tmp_path / "engines", tmp_path)


@pytest.mark.usefixtures("on_an_l4")
def test_an_engine_says_where_it_runs_and_what_it_was_built_from(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[onnx.ModelProto, BuildOptions]] = []

    def build(trt: object, model: onnx.ModelProto, options: BuildOptions, source: str) -> Plan:
        given.append((model, options))
        return Plan(b"plan", f"timings of build {len(given)}".encode())

    monkeypatch.setattr(engine, "build_plan", build)
    folder = tmp_path / "engines/twin"
    for _ in range(2):
        record = build_engines("twin", [graph], SETTINGS, folder, tmp_path / "timing")
    description, plan = read_engine(folder / "twin.engine")
    assert plan == (folder / "twin.engine").read_bytes() == b"plan"
    assert description.target == Target("NVIDIA L4", "8.9", "580.65.06", "tensorrt 10.9.0.34")
    assert description.profiles == (Profile(1, 1, 1), Profile(1, 2, 4))
    assert (description.spec.nms_passes, read_spec(graph).nms_passes) == (16, 0)
    check_graph(folder / "twin.engine", description, graph)
    (written,) = record.engines
    assert (written.status, written.file) == ("built", (folder / "twin.engine").as_posix())
    assert written.file_size == (folder / "twin.engine").stat().st_size
    assert record.target is not None
    assert record.target.gpu == "NVIDIA L4"
    model, options = given[1]
    assert "NonMaxSuppression" not in {node.op_type for node in model.graph.node}
    assert options.timing_cache == b"timings of build 1"
    assert [path.name for path in (tmp_path / "timing").iterdir()] == ["NVIDIA-L4_580-65-06_tensorrt-10-9-0-34.timing"]


@pytest.mark.usefixtures("on_an_l4")
@pytest.mark.parametrize(
    ("operator", "reason"),
    [("RoiAlign", "a two-stage detector"), ("DeformConv", "a detector with deformable convolutions")],
)
def test_what_has_no_portable_form_is_recorded_as_not_built(
    artefact: Path, tmp_path: Path, operator: str, reason: str
) -> None:
    model = onnx.load(artefact)
    model.graph.node.append(onnx.helper.make_node(operator, ["maps", "rois", "images"], ["pooled"]))
    without = tmp_path / "tiny.onnx"
    save_sealed(model, without)
    record = build_engines("tiny", [without], SETTINGS, tmp_path / "engines", tmp_path / "timing")
    (build,) = record.engines
    assert (record.target, build.status, build.file) == (None, "not built", None)
    assert reason in build.reason
    assert list((tmp_path / "engines").iterdir()) == []


@pytest.mark.usefixtures("on_an_l4")
def test_a_dynamic_size_is_recorded_as_not_built(dynamic_artefact: Path, tmp_path: Path) -> None:
    record = build_engines("tiny", [dynamic_artefact], SETTINGS, tmp_path / "engines", tmp_path / "timing")
    (build,) = record.engines
    assert (record.target, build.status, build.file) == (None, "not built", None)
    assert "its size is dynamic" in build.reason
    assert "export.dynamic_size: false" in build.reason


class Refusing:
    """TensorRT on a GPU whose engines it builds and then does not open, as TensorRT-RTX 1.7 on an H200."""

    def __init__(self, log: Any) -> None:
        self.log = log

    def deserialize_cuda_engine(self, plan: bytes) -> None:
        self.log.log(MODULE.ILogger.ERROR, "Error Code 6: The engine cannot run on this GPU\nin runtime.cpp")


def test_where_tensorrt_runs_no_engine_the_record_says_why_and_nothing_is_built(
    graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = []

    def build(trt: object, model: onnx.ModelProto, options: BuildOptions, source: str) -> Plan:
        onnx.checker.check_model(model, full_check=True)
        sources.append(source)
        return Plan(b"plan", b"")

    monkeypatch.setattr(engine, "find_device", lambda: CudaDevice("NVIDIA H200", "9.0", "580.159.04"))
    monkeypatch.setattr(engine, "import_tensorrt", lambda: SimpleNamespace(**vars(MODULE), Runtime=Refusing))
    monkeypatch.setattr(builder, "build_plan", build)
    record = build_engines("twin", [graph], SETTINGS, tmp_path / "engines", tmp_path / "timing")
    (build_record,) = record.engines
    assert build_record.status == "not built"
    assert build_record.reason == (
        "tensorrt: tensorrt 10.9.0.34 runs no engine on NVIDIA H200 (compute capability 9.0):\n"
        "  Error Code 6: The engine cannot run on this GPU"
    )
    assert sources == ["a graph of one operator"]
    assert list((tmp_path / "engines").iterdir()) == []


def test_nodes_that_the_messages_name() -> None:
    graph = onnx.parser.parse_graph("agraph (float[1] x) => (float[1] y) { a = Abs(x) b = Neg(a) y = Abs(b) }")
    for node, name in zip(graph.node, ("node_1", "node_12", ""), strict=True):
        node.name = name
    model = onnx.helper.make_model(graph)
    messages = ["[x.cpp] node_12_304 has no runners", "again node_12", "no memory", "ForeignNode[node_1...]"]
    assert blamed_nodes(model, messages) == ["Neg (node_12)", "Abs (node_1)"]
    assert blamed_nodes(model, ["no memory"]) == []


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ({"least": 2, "best": 1, "most": 4}, "least <= best <= most is needed, got 2, 1, 4"),
        ({"best": 8, "most": 4}, "least <= best <= most is needed, got 1, 8, 4"),
        ({"least": 0, "best": 1, "most": 1}, "greater than 0"),
    ],
)
def test_profiles_are_checked(profile: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProfileSettings(**profile)


def test_an_odd_number_of_passes_is_refused() -> None:
    with pytest.raises(ValueError, match="multiple of 2"):
        EngineSettings(nms_passes=15)


def gpu_missing() -> str:
    try:
        gpu = find_device()
        builder.check_runs(import_tensorrt(), gpu.name)
    except BackendUnavailable as error:
        return str(error)
    return ""


@pytest.mark.gpu
@pytest.mark.skipif(bool(gpu_missing()), reason=gpu_missing() or "a GPU is here")
def test_on_a_gpu_it_builds(graph: Path, tmp_path: Path) -> None:
    record = build_engines("twin", [graph], SETTINGS, tmp_path / "engines", tmp_path / "timing")
    (build,) = record.engines
    assert build.status == "built"
    assert build.build_seconds is not None
    assert math.isfinite(build.build_seconds)
    assert build.file_size is not None
    assert build.file_size > 100_000
