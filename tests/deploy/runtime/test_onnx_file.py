from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.runtime.artefact import read_spec
from deploy.runtime.errors import ArtefactError
from deploy.runtime.onnx_file import read_metadata


def test_metadata_equals_what_the_onnx_package_reads(artefact: Path) -> None:
    expected = {entry.key: entry.value for entry in onnx.load(artefact).metadata_props}
    assert len(expected) > 10
    assert read_metadata(artefact) == expected


def test_text_of_any_script_survives(tmp_path: Path, write) -> None:
    path = write(tmp_path / "m.onnx", {"name": "Bäume 樹", "empty": ""})
    assert read_metadata(path) == {"name": "Bäume 樹", "empty": ""}


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


@settings(max_examples=200, deadline=None)
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
