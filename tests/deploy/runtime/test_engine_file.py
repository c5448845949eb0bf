import hashlib
import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.runtime.engine_file import (
    EngineDescription,
    Profile,
    Target,
    check_graph,
    check_target,
    description_of,
    engine_of,
    read_description,
    read_engine,
)
from deploy.runtime.errors import ArtefactError
from pipeline.storage import sha256_of
from tests.deploy.tiny import SPEC

TARGET = Target("NVIDIA L4", "8.9", "580.65.06", "tensorrt 10.9.0.34")
DESCRIPTION = EngineDescription(TARGET, "a" * 64, (Profile(1, 1, 1), Profile(1, 8, 32)), SPEC)
PLAN = bytes(range(256)) * 4
TEXT = DESCRIPTION.to_json(PLAN)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.engine"
    path.write_bytes(PLAN)
    description_of(path).write_bytes(TEXT)
    return path


def test_the_engine_is_the_plan_alone(engine: Path) -> None:
    assert engine.read_bytes() == PLAN
    assert description_of(engine).name == "tiny.engine.json"
    assert read_description(engine) == DESCRIPTION
    assert read_engine(engine) == (DESCRIPTION, PLAN)


@given(st.integers(0, len(TEXT) - 1))
def test_a_description_cut_off_anywhere_is_an_error(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.engine"
    path.write_bytes(PLAN)
    description_of(path).write_bytes(TEXT[:size])
    for read in (read_description, read_engine):
        with pytest.raises(ArtefactError, match=r"cut\.engine\.json: not the description .*build it"):
            read(path)


@pytest.mark.parametrize("plan", [PLAN[:-1], PLAN + b"\0", b""])
def test_a_plan_of_another_size_is_an_error(engine: Path, plan: bytes) -> None:
    engine.write_bytes(plan)
    message = rf"tiny\.engine\.json: .*the engine has {len(plan)} bytes, {len(PLAN)} were written.*build it"
    for read in (read_description, read_engine):
        with pytest.raises(ArtefactError, match=message):
            read(engine)


def test_a_changed_plan_is_an_error(engine: Path) -> None:
    engine.write_bytes(PLAN[:-1] + b"\7")
    assert read_description(engine) == DESCRIPTION
    with pytest.raises(
        ArtefactError, match=r"tiny\.engine: a damaged engine: it is not the plan that .*tiny\.engine\.json"
    ):
        read_engine(engine)


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"[]",
        b"{}",
        json.dumps({"format_version": "9"}).encode(),
        json.dumps({**json.loads(TEXT), "target": {"gpu": "x"}}).encode(),
        b"",
    ],
    ids=["no text", "a list", "empty", "another version", "no target", "nothing"],
)
def test_what_is_no_description_is_an_error(engine: Path, content: bytes) -> None:
    description_of(engine).write_bytes(content)
    with pytest.raises(ArtefactError, match=r"tiny\.engine\.json: not the description of this engine"):
        read_description(engine)


def test_engine_of_a_foreign_graph_is_an_error(engine: Path) -> None:
    content = json.loads(TEXT)
    del content["spec"]["classes"], content["description_sha256"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    description_of(engine).write_text(json.dumps({**content, "description_sha256": digest}))
    with pytest.raises(ArtefactError, match=r"tiny\.engine: not an artefact of this pipeline .*classes"):
        read_description(engine)


def test_no_flipped_bit_of_a_description_is_read_as_another_engine(engine: Path) -> None:
    read = []
    for place in range(len(TEXT)):
        damaged = bytearray(TEXT)
        damaged[place] ^= 1 << place % 8
        description_of(engine).write_bytes(damaged)
        try:
            found = read_description(engine)
        except ArtefactError:
            continue
        read += [place] * (found != DESCRIPTION)
    assert read == []


def test_an_engine_without_its_description_says_what_is_missing(engine: Path) -> None:
    description_of(engine).unlink()
    with pytest.raises(ArtefactError, match=r"tiny\.engine\.json: cannot be read: No such file.*stages\.engine"):
        read_engine(engine)


def test_a_description_without_its_engine_says_what_is_missing(engine: Path) -> None:
    engine.unlink()
    with pytest.raises(ArtefactError, match=r"tiny\.engine: cannot be read: No such file.*stages\.engine"):
        read_description(engine)


@pytest.mark.parametrize("key", list(asdict(TARGET)))
def test_an_engine_of_another_machine_is_refused(engine: Path, key: str) -> None:
    check_target(engine, DESCRIPTION, TARGET)
    message = rf"tiny\.engine: .*{key}: built for '{getattr(TARGET, key)}', here 'other'; build it here with"
    with pytest.raises(ArtefactError, match=message):
        check_target(engine, DESCRIPTION, replace(TARGET, **{key: "other"}))


def test_every_difference_is_named(engine: Path) -> None:
    other = Target("NVIDIA H100", "9.0", TARGET.driver, TARGET.tensorrt)
    with pytest.raises(ArtefactError, match=r"'NVIDIA L4', here 'NVIDIA H100'; .*'8\.9', here '9\.0'; build"):
        check_target(engine, DESCRIPTION, other)


def test_an_engine_of_another_graph_is_refused(engine: Path, artefact: Path, tmp_path: Path) -> None:
    check_graph(engine, replace(DESCRIPTION, graph_sha256=sha256_of(artefact)), artefact)
    with pytest.raises(
        ArtefactError, match=r"tiny\.engine: built from another graph \(sha256 a{12}\.\.\.\) than .*\.onnx"
    ):
        check_graph(engine, DESCRIPTION, artefact)
    with pytest.raises(ArtefactError, match=r"none\.onnx: cannot be read"):
        check_graph(engine, DESCRIPTION, tmp_path / "none.onnx")


def test_the_engine_of_a_graph_is_beside_it_or_where_the_stage_puts_it(tmp_path: Path) -> None:
    graph = tmp_path / "twin.fp16.onnx"
    assert engine_of(graph) == tmp_path / "engines/twin/twin.fp16.engine"
    beside = tmp_path / "twin.fp16.engine"
    beside.touch()
    assert engine_of(graph) == beside


def test_a_pipe_is_not_waited_for(engine: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.engine")
    with pytest.raises(ArtefactError, match=r"pipe\.engine: cannot be read: a named pipe"):
        read_description(tmp_path / "pipe.engine")
    with pytest.raises(ArtefactError, match=r"pipe\.engine: cannot be read: a named pipe"):
        check_graph(engine, DESCRIPTION, tmp_path / "pipe.engine")
    description_of(engine).unlink()
    os.mkfifo(description_of(engine))
    with pytest.raises(ArtefactError, match=r"\.json: cannot be read: a named pipe"):
        read_engine(engine)


CHANGES = {
    "profiles": [None, [], [None], [{}], [{"least": None, "best": 1, "most": 1}],
                 [{"least": 1, "best": "1", "most": 1}], [{"least": 0, "best": 1, "most": 1}],
                 [{"least": 2, "best": 1, "most": 4}], [{"least": 1, "best": 1, "most": 10**400}]],
    "target": [None, [], {}, {"gpu": None, "compute_capability": "9", "driver": "5", "tensorrt": "t"},
               {"gpu": ["A" * 10**6], "compute_capability": "9", "driver": "5", "tensorrt": "t"}],
    "graph_sha256": [None, 3, [], {}],
    "plan_size": [None, "3", -1],
    "spec": [None, [], {}],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in CHANGES.items() for value in values])
def test_a_sealed_value_of_another_kind_is_named(engine: Path, key: str, value: object) -> None:
    content = {**json.loads(TEXT), key: value}
    del content["description_sha256"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    description_of(engine).write_text(json.dumps({**content, "description_sha256": digest}))
    with pytest.raises(ArtefactError, match=r"tiny\.engine") as caught:
        read_description(engine)
    assert len(str(caught.value)) < 2000
