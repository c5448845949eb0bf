import subprocess
from pathlib import Path

import pytest

from pipeline.code_version import code_version


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("author", "committer"):
        monkeypatch.setenv(f"GIT_{name.upper()}_NAME", "a")
        monkeypatch.setenv(f"GIT_{name.upper()}_EMAIL", "a@b")
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/a.py").write_text("one = 1\n")
    return tmp_path


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_and_whether_code_differs_from_it(repository: Path) -> None:
    assert code_version() is None
    git("init", "-q")
    assert code_version() is None
    git("add", "pipeline")
    git("commit", "-qm", "one")
    commit = git("rev-parse", "HEAD")
    (repository / "params.yaml").write_text("data: mine\n")
    assert code_version() == commit
    (repository / "pipeline/a.py").write_text("one = 2\n")
    assert code_version() == f"{commit}, with changes"


def test_without_git_nothing_is_known(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "one")
    monkeypatch.setenv("PATH", str(repository))
    assert code_version() is None
