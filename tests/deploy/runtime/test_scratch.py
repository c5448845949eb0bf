"""Scratch of a killed process is removed by the next of its name; nothing else ever is."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.runtime.scratch import scratch_folder
from pipeline.storage import fresh_directory, write_atomic

INSIDE = {
    "scratch_folder": "with scratch_folder('data', parent) as scratch: wait(scratch)",
    "fresh_directory": "with fresh_directory(parent / 'data') as scratch: wait(scratch)",
    "replace_atomic": "replace_atomic(parent / 'data', lambda part: wait(part.parent))",
}
SCRIPT = """
import sys, time
from pathlib import Path
from deploy.runtime.scratch import scratch_folder
from pipeline.storage import fresh_directory, replace_atomic
def wait(scratch):
    (scratch / "half").write_text("half")
    print("inside", flush=True)
    time.sleep(600)
parent = Path(sys.argv[1])
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def start() -> Iterator[Callable[[str, Path], subprocess.Popen[str]]]:
    """Starts a process that stays inside a scratch until it is killed."""
    started = []

    def start(body: str, parent: Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", SCRIPT + body, str(parent)]
        environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        assert started[-1].stdout
        assert started[-1].stdout.readline() == "inside\n"
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def use(body: str, parent: Path) -> None:
    """The next run of the same thing, to its end."""
    if body == "scratch_folder":
        with scratch_folder("data", parent):
            pass
    elif body == "fresh_directory":
        with fresh_directory(parent / "data"):
            pass
    else:
        write_atomic(parent / "data", "whole")


@pytest.mark.parametrize("body", INSIDE)
def test_the_next_run_removes_what_a_kill_left(
    body: str, tmp_path: Path, start: Callable[[str, Path], subprocess.Popen[str]]
) -> None:
    process = start(INSIDE[body], tmp_path)
    (left,) = names(tmp_path)
    use(body, tmp_path)
    assert left in names(tmp_path), "its owner is alive"
    assert (tmp_path / left / "content/half").exists()

    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left in names(tmp_path)
    use(body, tmp_path)
    assert names(tmp_path) == ([] if body == "scratch_folder" else ["data"])


def test_only_own_scratch_of_the_same_name_is_removed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "content").mkdir(parents=True)
    (elsewhere / "content/precious").write_text("kept")
    (elsewhere / "lock").touch()
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / ".data.notes").write_text("the user's own")
    (folder / ".data.aaaaaaaa.scratch").symlink_to(elsewhere)
    (folder / ".data.bbbbbbbb.scratch").write_text("no folder")
    for name in (".data.cccccccc.scratch", ".data.old", ".data.dddddddd.scratch.more", ".dataset.eeeeeeee.scratch"):
        (folder / name).mkdir()
        (folder / name / "mine").write_text("no lock beside it, or another name")
    before = names(folder)
    with scratch_folder("data", folder):
        pass
    assert names(folder) == before
    assert (elsewhere / "content/precious").read_text() == "kept"


def test_links_inside_abandoned_scratch_are_not_followed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("kept")
    folder = tmp_path / "folder"
    for name, inside in (("aaaaaaaa", "content"), ("bbbbbbbb", "content/link")):
        root = folder / f".data.{name}.scratch"
        (root / inside).parent.mkdir(parents=True)
        (root / "lock").touch()
        (root / inside).symlink_to(precious)
    stranger = folder / ".data.cccccccc.scratch"
    stranger.mkdir()
    (stranger / "lock").symlink_to(precious / "file")
    with scratch_folder("data", folder):
        pass
    assert names(folder) == [stranger.name]
    assert (precious / "file").read_text() == "kept"


def test_what_a_kill_left_before_there_was_a_lock_goes_too(tmp_path: Path) -> None:
    (tmp_path / ".data.aaaaaaaa.scratch").mkdir()
    with scratch_folder("data", tmp_path):
        pass
    assert names(tmp_path) == []


def test_scratch_that_is_taken_before_it_is_locked_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def removed_first(lock: int, operation: int) -> None:
        if not taken:
            taken.extend(tmp_path.iterdir())
            (taken[0] / "lock").unlink()
            taken[0].rmdir()

    monkeypatch.setattr("deploy.runtime.scratch.fcntl.flock", removed_first)
    with scratch_folder("data", tmp_path) as scratch:
        assert scratch.parent != taken[0]
        assert scratch.is_dir()


def test_a_started_program_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with scratch_folder("data", tmp_path):
        inherited = subprocess.run(["ls", "-l", "/proc/self/fd"], capture_output=True, text=True, close_fds=False)
    assert str(tmp_path) not in inherited.stdout


def test_names_may_hold_anything_that_a_file_name_may(tmp_path: Path) -> None:
    (tmp_path / ".a.aaaaaaaa.scratch").mkdir()
    for name in ("a|b", ".*", "(", "[a]"):
        with scratch_folder(name, tmp_path) as scratch:
            assert scratch.is_dir()
    assert names(tmp_path) == [".a.aaaaaaaa.scratch"]


@pytest.mark.parametrize("folder", ["pipeline", "deploy"])
def test_nobody_makes_scratch_of_another_kind(folder: str) -> None:
    named = re.compile("TemporaryDirectory|NamedTemporaryFile|mkdtemp|mkstemp")
    users = [path for path in Path(folder).rglob("*.py") if named.search(path.read_text(encoding="utf-8"))]
    assert users == ([Path("deploy/runtime/scratch.py")] if folder == "deploy" else [])
