"""Which Python `make setup` takes: the newest tested one, a newer one with a note, an older one not at all."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TESTED = ("3.11", "3.12", "3.13")
RUNS = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
# A version manager's stand-in for a Python that is installed and not chosen.
STAND_IN = "#!/bin/sh\necho 'command not found' >&2\nexit 127\n"
# Debian's, without the package python3-venv.
NO_ENSUREPIP = f"""#!/bin/sh
exec "{sys.executable}" -c 'import sys; sys.modules["ensurepip"] = None; exec(sys.argv[2])' "$@"
"""
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the Makefile, and a path on which three Pythons of our own come first."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(name, tmp_path)
    (tmp_path / "programs").mkdir()
    for version in TESTED:
        program(tmp_path, version, RUNS)
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:{os.environ['PATH']}")
    monkeypatch.delenv("PYTHON", raising=False)
    return tmp_path


def program(project: Path, version: str, text: str) -> None:
    path = project / "programs" / f"python{version}"
    path.write_text(text)
    path.chmod(0o755)


def of_version(version: str) -> str:
    """A Python that says of itself that it is another one."""
    known = f"import sys; sys.version_info = ({version.replace('.', ', ')}, 4); exec(sys.argv[2])"
    named = f'[ "$1" != --version ] || exec echo Python {version}.4'
    return f'#!/bin/sh\n{named}\nexec "{sys.executable}" -c "{known}" "$@"\n'


def only(project: Path, version: str) -> None:
    """Leaves one Python, under the name that every machine has."""
    for each in TESTED:
        program(project, each, STAND_IN)
    program(project, "3", of_version(version))


def environment(project: Path, version: str) -> None:
    """An environment of a version, with all that the lock asks for."""
    (project / ".venv").mkdir()
    (project / ".venv/pyvenv.cfg").write_text(f"home = /usr/bin\nversion = {version}.4\n")
    shutil.copy(project / "requirements.lock", project / ".venv/installed.lock")


def made(project: Path, *arguments: str) -> str:
    return subprocess.run(["make", "-s", *arguments], cwd=project, check=True, capture_output=True, text=True).stdout


def refused(project: Path, *arguments: str) -> str:
    run = subprocess.run(["make", "-s", *arguments], cwd=project, capture_output=True, text=True)
    assert run.returncode != 0
    assert not (project / ".venv").exists()
    return run.stderr


def test_the_newest_is_taken(project: Path) -> None:
    assert '"python3.13" -m venv .venv' in made(project, "-n", "setup")


@pytest.mark.parametrize("unfit", [STAND_IN, NO_ENSUREPIP])
def test_one_that_makes_no_environment_is_passed_over(project: Path, unfit: str) -> None:
    program(project, "3.13", unfit)
    assert '"python3.12" -m venv .venv' in made(project, "-n", "setup")


def test_a_named_one_that_does_not_run_is_an_error(project: Path) -> None:
    program(project, "3.13", STAND_IN)
    message = "error: python3.13 does not run. Install Python 3.11, 3.12 or 3.13"
    assert message in refused(project, "setup", "PYTHON=python3.13")


@pytest.mark.parametrize("arguments", [("setup",), ("setup", "GPU=1"), ("lock", "PYTHON=python3")])
def test_one_that_is_too_old_is_an_error(project: Path, arguments: tuple[str, ...]) -> None:
    only(project, "3.10")
    errors = refused(project, *arguments)
    assert "error: python3 is Python 3.10.4, which is too old. Install Python 3.11, 3.12 or 3.13, or name" in errors
    assert "Traceback" not in errors


def test_a_newer_one_is_tried_where_it_is_the_only_one(project: Path) -> None:
    only(project, "3.14")
    assert '"python3" -m venv .venv' in made(project, "-n", "setup")


@pytest.mark.parametrize("version", ["3.14", *TESTED])
def test_an_untested_one_is_said(project: Path, version: str) -> None:
    environment(project, version)
    note = f"note: .venv is of Python {version}, which nothing was tested with; if something fails: install Python 3.11"
    assert (note in made(project, "setup")) == (version not in TESTED)


@pytest.mark.parametrize(("version", "said"), [("3.10", True), (HERE, False)])
def test_an_environment_of_another_is_said(project: Path, version: str, said: bool) -> None:
    environment(project, version)
    note = f"note: .venv is of Python {version}, and python3.13 is {HERE}"
    assert (note in made(project, "setup")) == said


def test_the_lock_is_made_with_the_oldest(project: Path) -> None:
    assert '"python3.11" -m venv build/lock' in made(project, "-n", "lock")


def test_tested_versions_are_declared() -> None:
    declared = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    classes = re.findall(r"Programming Language :: Python :: (3\.\d+)", "\n".join(declared["classifiers"]))
    named = re.search(r"^TESTED := (.*)$", Path("Makefile").read_text(), re.MULTILINE)
    assert named is not None
    assert sorted(named[1].split()) == classes == list(TESTED)
    assert declared["requires-python"] == f">={TESTED[0]}"
    assert "with Python 3.11, 3.12 or 3.13," in Path("README.md").read_text()
