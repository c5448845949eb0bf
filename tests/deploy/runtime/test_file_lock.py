"""One process at a time, and nothing held by a dead one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.runtime.file_lock import FileLock, Locked

HOLD = """
import sys, time
from pathlib import Path
from deploy.runtime.file_lock import FileLock
lock = FileLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""
COUNT = """
import sys, time
from pathlib import Path
from deploy.runtime.file_lock import FileLock, Locked
counter = Path(sys.argv[1]).with_name("counter")
done = 0
while done < 40:
    try:
        with FileLock(Path(sys.argv[1])):
            value = int(counter.read_text())
            time.sleep(0.001)
            counter.write_text(str(value + 1))
            done += 1
    except Locked:
        time.sleep(0.0005)
"""


def test_a_second_holder_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with FileLock(path), pytest.raises(Locked, match=str(os.getpid())):
        FileLock(path)
    assert not path.exists()
    lock = FileLock(path)
    lock.release()
    lock.release()


def test_a_killed_process_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(Locked, match=str(process.pid)):
            FileLock(path)
        process.kill()
        process.wait()
    FileLock(path).release()


def test_many_processes_take_turns_though_each_removes_the_file(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path / "lock")]
    assert [process.wait() for process in [subprocess.Popen(command) for _ in range(4)]] == [0, 0, 0, 0]
    assert (tmp_path / "counter").read_text() == "160"


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        FileLock(tmp_path / "lock")
    assert victim.read_text() == "precious"


def test_a_file_system_without_locks_refuses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock"):
        pass
