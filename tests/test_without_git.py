"""The Makefile in an unpacked archive, which has no .git: DVC is told so, and the smoke run copies the sources."""

import shutil
import subprocess
from pathlib import Path

import pytest

LOGGED = """#!/bin/sh
echo "${0##*/} $@" >> "$LOG"
"""
TOLD = "dvc config --quiet --local core.no_scm true"
ASKED = ["python -m pipeline.dvc_state", "dvc repro", "python -m pipeline.made"]


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An unpacked archive with an environment, whose programs write down what they are asked for."""
    folder = tmp_path / "a project"
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(name, folder)
    shutil.copy("requirements.lock", folder / ".venv/installed.lock")
    for name in ("dvc", "python"):
        program = folder / ".venv/bin" / name
        program.write_text(LOGGED)
        program.chmod(0o755)
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    return folder


def asked(archive: Path) -> list[str]:
    subprocess.run(["make", "-s", "repro"], cwd=archive, check=True, capture_output=True)
    return (archive.parent / "log").read_text().splitlines()


def test_dvc_is_told_that_there_is_no_git(archive: Path) -> None:
    assert asked(archive) == [TOLD, *ASKED]


def test_with_git_dvc_is_told_nothing(archive: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=archive, check=True)
    assert asked(archive) == ASKED


def test_without_git_the_same_sources_are_listed(archive: Path) -> None:
    sources = ["Makefile", "requirements.lock", "pipeline/a b.py", ".dvc/config", "datasets/README.md", ".gitignore"]
    others = [
        "build/x",
        "data/x",
        ".cache/x",
        ".dvc/cache/x",
        "datasets/own/x",
        "reports/x.json",
        "pipeline/__pycache__/x",
    ]
    for name in [*sources[2:], *others]:
        (archive / name).parent.mkdir(parents=True, exist_ok=True)
        (archive / name).touch()
    show = "include Makefile\nshow:\n\t@$(LIST_SOURCES)\n"
    made = subprocess.run(
        ["make", "-s", "-f", "-", "show"], cwd=archive, input=show, text=True, capture_output=True, check=True
    )
    assert sorted(made.stdout.rstrip("\0").split("\0")) == sorted(f"./{name}" for name in sources)
