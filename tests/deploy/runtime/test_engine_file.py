import json
import struct
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.runtime.engine_file import (
    MAGIC,
    EngineHeader,
    Profile,
    Target,
    check_graph,
    check_target,
    engine_of,
    pack,
    read_engine,
    read_header,
)
from deploy.runtime.errors import ArtefactError
from pipeline.storage import sha256_of
from tests.deploy.tiny import SPEC

TARGET = Target("NVIDIA L4", "8.9", "580.65.06", "tensorrt 10.9.0.34")
HEADER = EngineHeader(TARGET, "a" * 64, (Profile(1, 1, 1), Profile(1, 8, 32)), SPEC)
PLAN = bytes(range(256)) * 4
CONTENT = pack(HEADER, PLAN)


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.engine"
    path.write_bytes(CONTENT)
    return path


def test_header_and_plan_come_back(engine: Path) -> None:
    assert read_header(engine) == HEADER
    assert read_engine(engine) == (HEADER, PLAN)


@given(st.integers(0, len(CONTENT) - 1))
def test_truncated_anywhere_is_an_error(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    path = tmp_path_factory.getbasetemp() / "cut.engine"
    path.write_bytes(CONTENT[:size])
    for read in (read_header, read_engine):
        with pytest.raises(
            ArtefactError, match=r"cut\.engine: (not an engine|a damaged or truncated engine).*build it"
        ):
            read(path)


def test_longer_than_written_is_an_error(engine: Path) -> None:
    engine.write_bytes(CONTENT + b"\0")
    with pytest.raises(ArtefactError, match=r"tiny\.engine: a damaged or truncated engine .* bytes, .* were written"):
        read_header(engine)


def test_a_changed_plan_is_an_error(engine: Path) -> None:
    engine.write_bytes(CONTENT[:-1] + b"\7")
    assert read_header(engine) == HEADER
    with pytest.raises(ArtefactError, match=r"tiny\.engine: a damaged engine: its plan is not the one"):
        read_engine(engine)


def with_header(content: bytes) -> bytes:
    return MAGIC + struct.pack("<Q", len(content)) + content


@pytest.mark.parametrize(
    "content",
    [
        with_header(b"\xff\xfe"),
        with_header(b"[]"),
        with_header(b"{}"),
        with_header(json.dumps({"format_version": "9"}).encode()),
        with_header(json.dumps({**json.loads(HEADER.to_json(b"")), "target": {"gpu": "x"}}).encode()),
        MAGIC + struct.pack("<Q", 1 << 60) + b"{}",
        b"ftrt" + PLAN,
        b"",
    ],
    ids=["no text", "a list", "empty", "another version", "no target", "huge header", "a plan alone", "nothing"],
)
def test_what_is_no_engine_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.engine"
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"x\.engine: (not an engine of this project|a damaged or truncated)"):
        read_header(path)


def test_engine_of_a_foreign_graph_is_an_error(tmp_path: Path) -> None:
    content = json.loads(HEADER.to_json(b""))
    del content["spec"]["classes"]
    (tmp_path / "x.engine").write_bytes(with_header(json.dumps(content).encode()))
    with pytest.raises(ArtefactError, match=r"x\.engine: not an artefact of this pipeline .*classes"):
        read_header(tmp_path / "x.engine")


def test_missing_engine_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"none\.engine: cannot be read: No such file.*stages\.engine"):
        read_header(tmp_path / "none.engine")


@pytest.mark.parametrize("key", list(asdict(TARGET)))
def test_an_engine_of_another_machine_is_refused(engine: Path, key: str) -> None:
    check_target(engine, HEADER, TARGET)
    message = rf"tiny\.engine: .*{key}: built for '{getattr(TARGET, key)}', here 'other'; build it here with"
    with pytest.raises(ArtefactError, match=message):
        check_target(engine, HEADER, replace(TARGET, **{key: "other"}))


def test_every_difference_is_named(engine: Path) -> None:
    other = Target("NVIDIA H100", "9.0", TARGET.driver, TARGET.tensorrt)
    with pytest.raises(ArtefactError, match=r"'NVIDIA L4', here 'NVIDIA H100'; .*'8\.9', here '9\.0'; build"):
        check_target(engine, HEADER, other)


def test_an_engine_of_another_graph_is_refused(engine: Path, artefact: Path, tmp_path: Path) -> None:
    check_graph(engine, replace(HEADER, graph_sha256=sha256_of(artefact)), artefact)
    with pytest.raises(
        ArtefactError, match=r"tiny\.engine: built from another graph \(sha256 a{12}\.\.\.\) than .*\.onnx"
    ):
        check_graph(engine, HEADER, artefact)
    with pytest.raises(ArtefactError, match=r"none\.onnx: cannot be read"):
        check_graph(engine, HEADER, tmp_path / "none.onnx")


def test_the_engine_of_a_graph_is_beside_it_or_where_the_stage_puts_it(tmp_path: Path) -> None:
    graph = tmp_path / "twin.fp16.onnx"
    assert engine_of(graph) == tmp_path / "engines/twin/twin.fp16.engine"
    beside = tmp_path / "twin.fp16.engine"
    beside.touch()
    assert engine_of(graph) == beside
