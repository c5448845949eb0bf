"""Every command there is: it explains itself, and a wrong option is a matter of usage and no traceback."""

import re
import runpy
import sys
from pathlib import Path

import pytest

# runpy warns of a module that something else has imported.
pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")

PACKAGES = ("benchmarks", "deploy", "pipeline", "stages")


def module_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__main__")


COMMANDS = sorted(
    module_of(path)
    for package in PACKAGES
    for path in Path(package).rglob("*.py")
    if '\nif __name__ == "__main__":\n' in path.read_text(encoding="utf-8")
)


def run(name: str, *arguments: str, monkeypatch: pytest.MonkeyPatch) -> object:
    """Exit status of a command that runs in this process, where what it imports is there already."""
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(name, run_name="__main__")
    return ended.value.code


def named_in(usage: str) -> str:
    """What a usage calls its command, without the rooms: a door and the room behind it are one command."""
    found = re.match(r"usage: python -m ([\w.]+)", usage)
    return found[1].rpartition(".")[2] if found else usage[:100]


def test_the_commands_are_found() -> None:
    assert {"benchmarks.fuzz", "deploy.predict", "deploy.timing.worker", "pipeline.choice", "stages.distill"} <= {
        *COMMANDS
    }
    assert len(COMMANDS) > 25


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_a_command_does(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(name, "--help", monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert named_in(said) == name.rpartition(".")[2]
    assert len(said.splitlines()) > 3


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_is_a_matter_of_usage(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(name, "--no-such-option", monkeypatch=monkeypatch) == 2
    assert named_in(capsys.readouterr().err) == name.rpartition(".")[2]
