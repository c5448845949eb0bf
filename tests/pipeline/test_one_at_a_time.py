"""A stage that a killed dvc left running."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.layout import RUNNING
from pipeline.one_at_a_time import one_at_a_time

PROJECT = Path(__file__).parents[2]
SLOW_STAGE = """
import time
from pathlib import Path
from pipeline.one_at_a_time import one_at_a_time

@one_at_a_time
def main(argv=None):
    Path("begun").touch()
    time.sleep(60)

main()
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").touch()
    return tmp_path


@one_at_a_time
def again(argv: Sequence[str] | None = None) -> None:
    if argv:
        again(argv[1:] if argv[0] == "other" else argv)


def test_equal_arguments_are_refused_and_others_are_not() -> None:
    with pytest.raises(PipelineError, match=rf"test_one_at_a_time --model a` runs already \(process {os.getpid()}\)"):
        again(["--model", "a"])
    again(["other", "other"])  # three calls at a time, with different arguments
    assert not [*RUNNING.iterdir()]


def test_outside_of_a_project_nothing_is_made(project: Path) -> None:
    (project / "params.yaml").unlink()
    again([])
    assert not [*project.iterdir()]


def test_a_process_that_was_left_running_is_named_and_a_dead_one_locks_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "slow_stage.py").write_text(SLOW_STAGE)
    command = [sys.executable, "-m", "slow_stage", "--model", "a"]
    process = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": f"{PROJECT}:{project}"})
    try:
        while not (project / "begun").exists():
            time.sleep(0.05)
            assert process.poll() is None
        second = subprocess.run(
            command,
            env=os.environ | {"PYTHONPATH": f"{PROJECT}:{project}"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        process.kill()
        process.wait()
    assert second.returncode == 1
    assert f"`python -m slow_stage --model a` runs already (process {process.pid})" in second.stderr
    assert f"kill {process.pid}" in second.stderr
    # Killed, it left the file; the kernel let go of the lock.
    assert len([*RUNNING.iterdir()]) == 1
    (project / "slow_stage.py").write_text(SLOW_STAGE.replace("60", "0"))
    subprocess.run(command, env=os.environ | {"PYTHONPATH": f"{PROJECT}:{project}"}, check=True)
    assert not [*RUNNING.iterdir()]
