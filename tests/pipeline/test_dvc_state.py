import logging
from pathlib import Path

import pytest

from pipeline.dvc_state import main, mend_rwlock


@pytest.mark.parametrize("content", ["", "{", '{"write": {}, "read": {"a": [{"pid"'])
def test_what_a_kill_leaves_is_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str) -> None:
    lock = tmp_path / "rwlock"
    lock.write_text(content)
    with caplog.at_level(logging.INFO):
        assert mend_rwlock(lock)
    assert not lock.exists()
    assert "a dvc that was killed left it unreadable" in caplog.text


def test_what_dvc_reads_stays(tmp_path: Path) -> None:
    lock = tmp_path / "rwlock"
    lock.write_text('{"write": {}, "read": {}}')
    assert not mend_rwlock(lock)
    assert lock.exists()
    assert not mend_rwlock(tmp_path / "none")


def test_a_file_that_is_being_written_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = tmp_path / "rwlock"
    lock.touch()
    monkeypatch.setattr("pipeline.dvc_state.time.sleep", lambda _: lock.write_text("{}"))
    assert not mend_rwlock(lock)
    assert lock.read_text() == "{}"


def test_the_command_needs_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main([])
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / ".dvc/tmp/rwlock").touch()
    main([])
    assert not (tmp_path / ".dvc/tmp/rwlock").exists()
