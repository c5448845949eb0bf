"""What one clone pushes another one pulls, with the outs of ``dvc.yaml``: engines stay where they were built."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.repo import Repo

OUTS: dict[str, list[Any]] = {
    stage: yaml.safe_load(yaml.safe_dump(content["do"]["outs"]).replace("${item}", "twin"))
    for stage, content in yaml.safe_load(Path("dvc.yaml").read_text())["stages"].items()
    if stage in ("engine", "precision")
}
MAKE = "for path in {paths}; do mkdir -p $(dirname $path); echo $path > $path; done"


def name_of(out: Any) -> str:
    return next(iter(out)) if isinstance(out, dict) else out


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with stages of this one's outs, which are made of nothing, and a remote beside it."""
    folder = tmp_path / "first"
    (folder / ".dvc").mkdir(parents=True)
    for name in (".gitignore", ".dvcignore", ".dvc/config"):
        shutil.copy(name, folder / name)
    stages = {}
    for stage, outs in OUTS.items():
        command = MAKE.format(paths=" ".join(map(name_of, outs)))
        stages[stage] = {"cmd": command, "deps": ["params.yaml"], "outs": outs}
    (folder / "params.yaml").write_text("{}")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    with (folder / ".dvc/config").open("a") as config:
        config.write(f"    remote = shared\n['remote \"shared\"']\n    url = {tmp_path / 'remote'}\n")
    git(tmp_path, "init", "-q", "first")
    monkeypatch.chdir(folder)
    return folder


def test_a_second_clone_pulls_everything_but_engines(
    first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Repo(".") as project:
        project.reproduce()
        assert project.push() > 0
    git(first, "add", ".")
    git(first, "commit", "-qm", "results")
    git(tmp_path, "clone", "-q", "first", "second")
    monkeypatch.chdir(tmp_path / "second")
    with Repo(".") as project:
        project.pull()  # an out that the remote lacks would be an error
        assert set(project.status()) == {"engine"}
    for name in (name_of(out) for outs in OUTS.values() for out in outs):
        assert Path(name).exists() == ("engines" not in name)
