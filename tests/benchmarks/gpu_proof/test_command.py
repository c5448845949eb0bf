"""The command from outside: what it says and leaves on a machine without a GPU, and that it imports nothing heavy."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu_proof import machine
from benchmarks.gpu_proof.__main__ import prove
from benchmarks.gpu_proof.machine import ask_machine, differing
from benchmarks.gpu_proof.parts import PARTS, Part
from benchmarks.gpu_proof.record import Machine, Proof

HIDDEN = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}


def test_without_a_gpu_every_part_says_why_and_nothing_fails(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu_proof", "--out", str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, env=HIDDEN, check=False)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("not run: no CUDA device: torch") == len(PARTS)
    found = Proof.read(tmp_path / "no-cuda-device.json")
    assert [part.name for part in found.parts] == [part.name for part in PARTS]
    assert all(part.reason.startswith("no CUDA device: torch") for part in found.parts)
    assert found.machine.versions["torch"]
    page = (tmp_path / "no-cuda-device.md").read_text()
    assert page.count("not run: no CUDA device") == len(PARTS)


def test_the_supervising_side_needs_nothing_but_python() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import benchmarks.gpu_proof.__main__, benchmarks.gpu_proof.publish\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before} - {'benchmarks'}\n"
        "print(sorted(names - set(sys.stdlib_module_names)))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.mark.parametrize(
    ("torch", "reason"),
    [
        (
            "raise OSError('libcudart.so.13: cannot open shared object file')",
            "torch cannot be imported: libcudart.so.13",
        ),
        ("import os; os.abort()", "torch cannot be asked"),
        ("import time; time.sleep(60)", "torch did not answer within 1 s"),
    ],
)
def test_a_torch_that_breaks_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, torch: str, reason: str
) -> None:
    (tmp_path / "torch.py").write_text(torch)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(machine, "_TIMEOUT_S", 1 if "sleep" in torch else 60)
    found = ask_machine(False)
    assert found.reason.startswith(reason)
    assert not found.gpu
    assert found.facts["Python"]


def test_versions_that_differ_from_the_lock_are_stated(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("# comment\ntorch==2.14.1\nnumpy==2.4.6\n./requirements/opencv-python\n")
    assert differing({"torch": "2.11.0", "numpy": "2.4.6", "tensorrt": "10"}, lock) == {"torch": "2.14.1"}
    assert differing({"torch": "2.11.0"}, tmp_path / "missing") == {}


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.gpu_proof.__main__.ask_machine", lambda rehearse: Machine(gpu="Simulated GPU"))


HEAD = """
import json, sys
file = open(sys.argv[sys.argv.index('fake') + 1], 'a')
def tell(**event):
    print(json.dumps(event), file=file, flush=True)
"""


def script(body: str) -> str:
    return HEAD + body


@pytest.mark.usefixtures("on_a_gpu")
def test_results_are_on_disk_while_later_parts_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    body = script(
        "tell(event='listed', names=['a'])\ntell(event='started', name='a')\n"
        "tell(event='ended', name='a', status='failed', reason='wrong', seconds=1, numbers={})"
    )
    # The second part tells what the first one left.
    look = script(
        f"found = json.load(open({str(out / 'simulated-gpu.json')!r}))\n"
        "tell(event='listed', names=[found['parts'][0]['checks'][0]['reason']])"
    )
    bodies = {"one": body, "two": look}
    monkeypatch.setattr(
        "benchmarks.gpu_proof.__main__.command_of",
        lambda part, rehearse: [sys.executable, "-c", bodies[part.name], "fake"],
    )
    parts = [Part(name, name, 20, 20) for name in bodies]
    found = prove(parts, out, False, 60, "")
    assert found.parts[0].checks[0].reason == "wrong"
    assert [check.name for check in found.parts[1].checks] == ["wrong"]
    assert [check.name for _, check in found.failed] == ["a"]
    assert json.loads((out / "simulated-gpu.json").read_text())["machine"]["gpu"] == "Simulated GPU"


@pytest.mark.usefixtures("on_a_gpu")
def test_parts_that_no_time_is_left_for_say_so(tmp_path: Path) -> None:
    found = prove([Part("late", "Late", 20, 20)], tmp_path, False, 0, "")
    assert found.parts[0].outcome == "not run: no time was left"


@pytest.mark.usefixtures("on_a_gpu")
@pytest.mark.parametrize(("commit", "kept"), [("a1", ["gradients"]), ("b2", [])])
def test_parts_that_are_not_named_keep_what_the_same_commit_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: str, kept: list[str]
) -> None:
    def command(part: Part, rehearse: bool) -> list[str]:
        return [sys.executable, "-c", script("tell(event='listed', names=[])"), "fake"]

    monkeypatch.setattr("benchmarks.gpu_proof.__main__.command_of", command)
    for part in ("training", "gradients"):
        prove([Part(part, part, 20, 20)], tmp_path, False, 60, "a1")
    found = prove([Part("training", "training", 20, 20)], tmp_path, False, 60, commit)
    assert [part.name for part in found.parts] == [*kept, "training"]
    assert [part.name for part in Proof.read(tmp_path / "simulated-gpu.json").parts] == [*kept, "training"]


def test_a_rehearsal_goes_from_the_command_through_a_process_to_the_report(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "benchmarks.gpu_proof",
        "--rehearse",
        "--parts",
        "operators",
        "--out",
        str(tmp_path),
    ]
    told = subprocess.run(command, capture_output=True, text=True, env=HIDDEN, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    (part,) = Proof.read(tmp_path / "rehearsal.json").parts
    assert (part.outcome, part.restarts) == ("ran: 4 passed", 0)
    assert [check.name for check in part.checks] == ["nms", "batched_nms", "roi_align", "sigmoid_focal_loss"]
    assert "Nothing below says anything about a GPU" in (tmp_path / "rehearsal.md").read_text()
