"""Run times that are too old are refused by their version."""

import json
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest

import deploy
from deploy.runtime.artefact import read_spec
from deploy.runtime.errors import BackendUnavailable
from deploy.runtime.oldest_versions import OLDEST, refuse_older
from tests.deploy.tiny import write_artefact


@pytest.mark.parametrize(
    ("version", "is_old"),
    [
        ("1.20.0", False),
        ("1.20", False),
        ("1.100.1", False),
        ("2.0", False),
        ("1.20.0.dev20241003001", False),
        ("1.19.2", True),
        ("1.9.0", True),
        ("0.99", True),
        ("1.2", True),
        ("master", False),
    ],
)
def test_a_version_counts_by_its_numbers(version: str, is_old: bool) -> None:
    if is_old:
        with pytest.raises(BackendUnavailable, match=rf"onnxruntime {version} is older than 1\.20.*pip install"):
            refuse_older("onnxruntime", "onnxruntime", version)
    else:
        refuse_older("onnxruntime", "onnxruntime", version)


def test_the_installation_asks_for_the_same_versions() -> None:
    extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = {entry.partition(">=")[0]: entry.partition(">=")[2] for entry in (*extras["cpu"], *extras["gpu"])}
    assert {name: listed[name].removesuffix(".0") for name in OLDEST} == {
        name: version.removesuffix(".0") for name, version in OLDEST.items()
    }


@pytest.mark.parametrize("package", ["onnxruntime", "openvino"])
def test_an_old_one_is_refused_and_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    artefact = write_artefact(tmp_path / "tiny.onnx")
    monkeypatch.setitem(sys.modules, package, SimpleNamespace(__version__="1.0.0"))
    with pytest.raises(BackendUnavailable, match=rf"{package} 1\.0\.0 is older than"):
        deploy.load(artefact, package)
    with deploy.load(artefact) as detector:
        assert detector.backend.name != package


def test_an_artefact_says_which_run_times_it_was_tried_under(tmp_path: Path) -> None:
    spec = read_spec(write_artefact(tmp_path / "tiny.onnx"))
    assert json.loads(spec.to_metadata()["oldest_runtimes"]) == OLDEST
