import pytest

from pipeline.datasets.findings import SHOWN, Findings, raise_errors
from pipeline.errors import DatasetError


def test_warnings_alone_stop_nothing_and_clear_an_old_list(tmp_path):
    old = tmp_path / "findings.txt"
    old.write_text("error of an earlier run")
    notes = Findings("a.json")
    notes.warning("image 1", "is blue")
    raise_errors(notes.found, old)
    assert not old.exists()


def test_a_name_as_long_as_its_file_does_not_fill_the_screen(tmp_path):
    notes = Findings("a.json")
    notes.error("image 1", "A" * 1_000_000)
    notes.warning("image 1", "A" * 1_000_000)
    with pytest.raises(DatasetError, match=r"image 1: A+\.\.\.") as caught:
        raise_errors(notes.found, tmp_path / "findings.txt")
    assert len(str(caught.value)) < 2000
    assert (tmp_path / "findings.txt").stat().st_size < 3000


def test_errors_are_shown_up_to_the_cap_and_all_findings_are_in_the_file(tmp_path):
    notes = Findings("a.json")
    notes.warning("image 0", "is blue")
    for number in range(SHOWN + 7):
        notes.error(f"image {number}", "is missing")
    path = tmp_path / "data" / "findings.txt"
    with pytest.raises(DatasetError) as caught:
        raise_errors(notes.found, path)
    message = str(caught.value)
    assert f"{SHOWN + 7} error(s)" in message
    assert message.count("is missing") == SHOWN
    assert "and 7 more" in message
    assert str(path) in message
    lines = path.read_text().splitlines()
    assert len(lines) == SHOWN + 8
    assert lines[0] == "warning: a.json: image 0: is blue"
    assert lines[-1] == f"error: a.json: image {SHOWN + 6}: is missing"
