"""Which Python `make setup` takes: the newest that runs, and a note where `.venv` is of another."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUNS = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
# A version manager's stand-in for a Python that is installed and not chosen.
STAND_IN = "#!/bin/sh\necho 'command not found' >&2\nexit 127\n"
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the Makefile, and a path on which three Pythons of our own come first."""
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(name, tmp_path)
    (tmp_path / "programs").mkdir()
    for version in ("3.11", "3.12", "3.13"):
        program(tmp_path, version, RUNS)
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:{os.environ['PATH']}")
    return tmp_path


def program(project: Path, version: str, text: str) -> None:
    path = project / "programs" / f"python{version}"
    path.write_text(text)
    path.chmod(0o755)


def made(project: Path, *arguments: str) -> str:
    return subprocess.run(["make", "-s", *arguments], cwd=project, check=True, capture_output=True, text=True).stdout


def test_the_newest_is_taken(project: Path) -> None:
    assert '"python3.13" -m venv .venv' in made(project, "-n", "setup")


def test_a_stand_in_that_refuses_is_passed_over(project: Path) -> None:
    program(project, "3.13", STAND_IN)
    assert '"python3.12" -m venv .venv' in made(project, "-n", "setup")


def test_a_named_one_that_does_not_run_is_an_error(project: Path) -> None:
    program(project, "3.13", STAND_IN)
    run = subprocess.run(["make", "-s", "setup", "PYTHON=python3.13"], cwd=project, capture_output=True, text=True)
    assert run.returncode != 0
    assert "error: python3.13 does not run. Install Python 3.11, 3.12 or 3.13" in run.stderr
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(("version", "said"), [("3.10", True), (HERE, False)])
def test_an_environment_of_another_is_said(project: Path, version: str, said: bool) -> None:
    (project / ".venv").mkdir()
    (project / ".venv/pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}.4\n")
    shutil.copy(project / "requirements.lock", project / ".venv/installed.lock")
    note = f"note: .venv is of Python {version}, and python3.13 is {HERE}"
    assert (note in made(project, "setup")) == said
