"""The order of the stages, held against DVC's own plan."""

import shutil
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro

from pipeline.chain import chain_of, read_chain


def test_order_and_dependencies_are_those_of_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    with Repo.init(no_scm=True) as project:
        graph = project.index.graph
        plan = [stage.addressing for stage in plan_repro(graph)]
        parents = {stage.addressing: {other.addressing for other in graph.successors(stage)} for stage in graph}
    chain = read_chain()
    assert list(chain) == plan
    assert {name: {*found} for name, found in chain.items()} == parents
    assert {"surroundings", "train@twin", "distill@crosskd", "report"} <= chain.keys()


def test_a_folder_and_what_lies_in_it_belong_together() -> None:
    stages = {
        "last": {"cmd": "", "deps": ["made", "made_up/x", "other/inner/file"]},
        "each": {"foreach": "${a.names}", "do": {"outs": ["made/${item}.csv"]}},
        "folder": {"outs": ["other"]},
        "neighbour": {"plots": [{"made_u": {"x": "y"}}]},
    }
    chain = chain_of(stages, {"a": {"names": ["one", "two"]}})
    assert chain["last"] == ("each@one", "each@two", "folder")
    assert list(chain) == ["each@one", "each@two", "folder", "last", "neighbour"]


@pytest.mark.parametrize(
    "text",
    [None, "", "stages: [a]", "stages: {a: {matrix: {x: [1]}, deps: 3}}", "stages: {a: {foreach: [b], do: {}}}", "{"],
)
def test_what_is_not_understood_is_no_chain(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "dvc.yaml").write_text(text)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"a": 1}))
    assert read_chain(tmp_path / "dvc.yaml", tmp_path / "params.yaml") == {}
