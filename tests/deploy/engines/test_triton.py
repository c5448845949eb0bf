from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from deploy.engines.triton import Serving, graph_bindings, main, write_repository
from deploy.runtime.engine_file import EngineDescription, Profile, Target, description_of
from deploy.runtime.errors import ArtefactError
from tests.deploy.tiny import SPEC, save_sealed

CONFIG = """\
name: "tiny"
backend: "onnxruntime"
max_batch_size: 16
input [
  {
    name: "images"
    data_type: TYPE_UINT8
    dims: [32, 48, 3]
  }
]
output [
  {
    name: "boxes"
    data_type: TYPE_FP32
    dims: [2, 4]
  },
  {
    name: "scores"
    data_type: TYPE_FP32
    dims: [2]
  },
  {
    name: "labels"
    data_type: TYPE_INT64
    dims: [2]
    label_filename: "labels.txt"
  },
  {
    name: "num_dets"
    data_type: TYPE_INT64
    dims: [1]
    reshape { shape: [] }
  }
]
dynamic_batching {
  max_queue_delay_microseconds: 500
}
instance_group [
  {
    count: 2
    kind: KIND_CPU
  }
]
"""


def test_the_repository_of_a_graph(artefact: Path, tmp_path: Path) -> None:
    folder = write_repository(artefact, tmp_path, Serving(max_batch=16, instances=2, gpu=False))
    assert folder == tmp_path / "tiny"
    assert (folder / "config.pbtxt").read_text() == CONFIG
    assert (folder / "labels.txt").read_text().split() == ["crown", "blob"]
    assert (folder / "1/model.onnx").read_bytes() == artefact.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["tiny"]


def test_the_repository_of_a_graph_of_dynamic_size(dynamic_artefact: Path, tmp_path: Path) -> None:
    text = (write_repository(dynamic_artefact, tmp_path, Serving()) / "config.pbtxt").read_text()
    assert 'name: "images"\n    data_type: TYPE_UINT8\n    dims: [-1, -1, 3]\n' in text
    assert 'name: "sizes"\n    data_type: TYPE_INT64\n    dims: [2]\n' in text


def test_writing_again_replaces_the_folder(artefact: Path, tmp_path: Path) -> None:
    (write_repository(artefact, tmp_path, Serving()) / "old").touch()
    folder = write_repository(artefact, tmp_path, Serving(max_batch=4))
    assert "max_batch_size: 4\n" in (folder / "config.pbtxt").read_text()
    assert not (folder / "old").exists()


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    description = EngineDescription(
        Target("g", "8.9", "1", "tensorrt 10"), "a" * 64, (Profile(1, 1, 1), Profile(1, 4, 8)), SPEC
    )
    path = tmp_path / "twin.fp16.engine"
    path.write_bytes(b"the plan")
    description_of(path).write_bytes(description.to_json(b"the plan"))
    return path


def test_the_repository_of_an_engine_holds_its_plan(engine: Path, tmp_path: Path) -> None:
    folder = write_repository(engine, tmp_path / "repository", Serving(max_batch=8))
    assert folder.name == "twin.fp16"
    assert (folder / "1/model.plan").read_bytes() == b"the plan"
    text = (folder / "config.pbtxt").read_text()
    assert 'backend: "tensorrt"\nmax_batch_size: 8\n' in text
    assert "kind: KIND_GPU" in text


@pytest.mark.parametrize(
    ("serving", "message"),
    [
        (Serving(max_batch=9), r"twin\.fp16\.engine: the engine takes 8 images at most, --max-batch is 9"),
        (Serving(max_batch=8, gpu=False), r"twin\.fp16\.engine: an engine runs on a GPU alone"),
    ],
)
def test_what_an_engine_cannot_do_is_refused(engine: Path, tmp_path: Path, serving: Serving, message: str) -> None:
    with pytest.raises(ArtefactError, match=message):
        write_repository(engine, tmp_path / "repository", serving)
    assert not (tmp_path / "repository").exists()


@pytest.mark.parametrize("name", ['a"\nbackend: "python', "a b", "..", "-a", "ä", ".onnx", "a\x1b[2J"])
def test_a_name_that_would_write_configuration_is_refused(artefact: Path, tmp_path: Path, name: str) -> None:
    model = tmp_path / f"{name}.onnx"
    model.write_bytes(artefact.read_bytes())
    with pytest.raises(ArtefactError, match="cannot be the name of a model that Triton serves") as caught:
        write_repository(model, tmp_path / "repository", Serving(gpu=False))
    assert "\x1b" not in str(caught.value)
    assert not (tmp_path / "repository").exists()


def test_a_graph_that_is_not_what_it_says_is_refused(tmp_path: Path, write) -> None:
    path = write(tmp_path / "other.onnx", metadata=replace(SPEC, max_detections=7).to_metadata())
    with pytest.raises(ArtefactError, match=r"boxes must be output float32 \[batch, 7, 4\], got .* \[batch, 2, 4\]"):
        write_repository(path, tmp_path / "repository", Serving())


def test_a_graph_for_one_batch_size_is_refused(artefact: Path, tmp_path: Path) -> None:
    model = onnx.load(artefact)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    save_sealed(model, tmp_path / "one.onnx")
    assert graph_bindings(tmp_path / "one.onnx")[0].shape == (1, 32, 48, 3)
    with pytest.raises(ArtefactError, match=r"images must be .*\[batch, 32, 48, 3\], got input uint8 \[1, 32, 48, 3\]"):
        write_repository(tmp_path / "one.onnx", tmp_path / "repository", Serving())


def test_command_line(artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(artefact), str(tmp_path / "models"), "--cpu", "--max-batch", "2", "--delay-us", "100"])
    assert capsys.readouterr().out == f"{tmp_path}/models/tiny: config.pbtxt, labels.txt, 1/\n"
    assert "max_queue_delay_microseconds: 100" in (tmp_path / "models/tiny/config.pbtxt").read_text()
    with pytest.raises(SystemExit, match=r"none\.onnx: cannot be read"):
        main([str(tmp_path / "none.onnx"), str(tmp_path / "models")])
    with pytest.raises(SystemExit):
        main([str(artefact), str(tmp_path / "models"), "--max-batch", "0"])
    assert "0 is below 1" in capsys.readouterr().err
