import hashlib
import json
import os
import random
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import deploy
from deploy.runtime.artefact import read_spec
from deploy.runtime.errors import ArtefactError
from deploy.runtime.onnx_file import HASH_KEY, SEAL_KEY, check_content, read_metadata, sealed
from tests.deploy.tiny import write_network_artefact


def test_metadata_equals_what_the_onnx_package_reads(artefact: Path) -> None:
    expected = {entry.key: entry.value for entry in onnx.load(artefact).metadata_props}
    assert len(expected) > 10
    assert read_metadata(artefact) == expected


def test_text_of_any_script_survives(tmp_path: Path, write) -> None:
    path = write(tmp_path / "m.onnx", {"name": "Bäume 樹", "empty": ""})
    found = read_metadata(path)
    assert found.pop(HASH_KEY)
    assert found.pop(SEAL_KEY) == '"sha256"'
    assert found == {"name": "Bäume 樹", "empty": ""}


def test_a_file_cut_off_anywhere_never_gives_more_than_the_whole_or_a_strange_error(artefact: Path, tmp_path) -> None:
    content, whole = artefact.read_bytes(), read_metadata(artefact)
    cut = tmp_path / "cut.onnx"
    refused = 0
    for length in range(len(content)):
        cut.write_bytes(content[:length])
        try:
            part = read_metadata(cut)
        except ArtefactError:
            refused += 1
        else:
            assert part.items() < whole.items()
    assert refused > 0.9 * len(content)


@pytest.mark.parametrize("length", [1, 500, 2000])
def test_message_names_the_file_and_the_cure(length: int, artefact: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(artefact.read_bytes()[:length])
    with pytest.raises(ArtefactError, match=r"cut\.onnx: not a complete ONNX file \(.*\); copy it again, or export it"):
        read_metadata(cut)


@settings(max_examples=200)
@given(content=st.binary(max_size=200))
def test_random_bytes_are_refused(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "random.onnx"
    path.write_bytes(content)
    # A few of them are, by chance, a message with an empty graph: a dictionary, but no artefact.
    with pytest.raises(ArtefactError, match=r"random\.onnx: not (a complete ONNX file|an artefact of this pipeline)"):
        read_spec(path)


@pytest.mark.parametrize("content", [b"", b"a text file named like a model\n", b"\x00" * 64, b"\xff" * 64])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=r"other\.onnx: not a complete ONNX file"):
        read_metadata(path)


def test_missing_file_and_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"gone\.onnx: cannot be read: No such file"):
        read_metadata(tmp_path / "gone.onnx")
    with pytest.raises(ArtefactError, match="cannot be read: Is a directory"):
        read_metadata(tmp_path)


@pytest.fixture
def network(tmp_path: Path) -> Path:
    return write_network_artefact(tmp_path / "network.onnx")


def test_the_hash_is_that_of_the_file_as_the_onnx_package_wrote_it(network: Path) -> None:
    model = onnx.load(network)
    assert model.metadata_props[-1].key == HASH_KEY
    value = model.metadata_props[-1].value
    del model.metadata_props[-1]
    assert hashlib.sha256(model.SerializeToString()).hexdigest() == json.loads(value)
    onnx.checker.check_model(onnx.load(network), full_check=True)
    check_content(network)


def test_a_copy_that_the_onnx_package_saved_unchanged_is_whole(network: Path) -> None:
    model = onnx.load(network)
    onnx.save(model, network)
    check_content(network)


def test_no_damage_is_opened(network: Path) -> None:
    whole, chance = network.read_bytes(), random.Random(0)
    opened = []
    for number in range(1500):
        damaged = bytearray(whole)
        if number % 3:
            for _ in range(number % 3):
                damaged[chance.randrange(len(whole))] ^= 1 << chance.randrange(8)
        else:
            start = chance.randrange(len(whole))
            damaged[start : start + chance.choice([1, 8, 64, 512])] = b""
        network.write_bytes(damaged)
        try:
            read_spec(network)
        except ArtefactError:
            continue
        if damaged != whole:
            opened.append(number)
    assert opened == []


def test_a_file_that_was_changed_on_purpose_is_opened_when_asked(network: Path) -> None:
    model = onnx.load(network)
    model.doc_string = "pruned"
    onnx.save(model, network)
    with pytest.raises(ArtefactError, match=r"network\.onnx: damaged: .*open it with verify=False"):
        deploy.load(network)
    assert deploy.load(network, "onnxruntime", verify=False).spec == read_spec(network, verify=False)
    network.write_bytes(sealed(model.SerializeToString()))
    with pytest.raises(ArtefactError, match="damaged"):  # two hashes
        deploy.load(network)


def test_a_hash_that_is_gone_from_a_file_that_had_one_is_damage(network: Path) -> None:
    model = onnx.load(network)
    del model.metadata_props[-1]
    onnx.save(model, network)
    with pytest.raises(ArtefactError, match="damaged"):
        read_spec(network)


def test_an_artefact_of_an_earlier_version_has_no_hash_and_is_opened(network: Path) -> None:
    model = onnx.load(network)
    del model.metadata_props[-2:]
    onnx.save(model, network)
    assert not {HASH_KEY, SEAL_KEY} & read_metadata(network).keys()
    assert read_spec(network).model == "tiny"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "student.onnx")
    for read in (read_metadata, check_content):
        with pytest.raises(ArtefactError, match=r"student\.onnx: cannot be read: a named pipe"):
            read(tmp_path / "student.onnx")
