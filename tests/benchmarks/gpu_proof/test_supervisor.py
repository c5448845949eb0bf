"""What the supervisor makes of parts that end well, badly or not at all. The parts are scripts without torch."""

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from benchmarks.gpu_proof import supervisor
from benchmarks.gpu_proof.parts import Part
from benchmarks.gpu_proof.record import PartResult
from benchmarks.gpu_proof.supervisor import run_part

PART = Part("fake", "A part that is made up", limit=20, check_limit=2)
HEAD = """
import json, os, signal, sys, time
events, skip = sys.argv[2], sys.argv[4:]
def tell(**event):
    with open(events, "a") as file:
        file.write(json.dumps(event) + "\\n")
def check(name, status="passed", reason=""):
    tell(event="ended", name=name, status=status, reason=reason, seconds=0.1, numbers={"value, ms": 1.5})
NAMES = ["first", "second", "third"]
tell(event="listed", names=NAMES)
for name in NAMES:
    if name in skip:
        continue
    tell(event="started", name=name)
"""


def run(tmp_path: Path, body: str, part: Part = PART, head: str = HEAD) -> PartResult:
    script = tmp_path / "part.py"
    script.write_text(head + "\n".join(f"    {line}" for line in dedent(body).strip().splitlines()) + "\n")
    return run_part(part, [sys.executable, str(script), part.name], part.limit, lambda result, running: None)


def statuses(result: PartResult) -> dict[str, str]:
    return {check.name: check.status for check in result.checks}


def test_every_check_of_a_good_part_is_kept_with_its_numbers(tmp_path: Path) -> None:
    result = run(tmp_path, "check(name)")
    assert statuses(result) == dict.fromkeys(["first", "second", "third"], "passed")
    assert (result.reason, result.restarts, result.outcome) == ("", 0, "ran: 3 passed")
    assert result.checks[0].numbers == {"value, ms": 1.5}


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("print('CUDA driver: no such symbol', flush=True); os._exit(3)", "exit code 3: CUDA driver: no such symbol"),
        ("raise MemoryError('no room')", "MemoryError: no room"),
    ],
)
def test_a_check_that_ends_the_process_costs_itself_alone(tmp_path: Path, end: str, said: str) -> None:
    result = run(tmp_path, f"if name == 'second': {end}\ncheck(name)")
    assert statuses(result) == {"first": "passed", "second": "failed", "third": "passed"}
    assert said in result.checks[1].reason
    assert result.restarts == 1


def test_every_crash_is_told_not_the_first_alone(tmp_path: Path) -> None:
    result = run(tmp_path, "os.kill(os.getpid(), signal.SIGABRT)")
    assert statuses(result) == dict.fromkeys(["first", "second", "third"], "failed")
    assert all("SIGABRT" in check.reason for check in result.checks)


def test_a_broken_device_gets_a_new_process(tmp_path: Path) -> None:
    result = run(tmp_path, "check(name, 'failed', 'illegal access') if name == 'first' else check(name)\n"
                           "if name == 'first': os._exit(75)")  # fmt: skip
    assert statuses(result) == {"first": "failed", "second": "passed", "third": "passed"}
    assert result.checks[0].reason == "illegal access"
    assert result.restarts == 1


def test_a_hung_check_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    body = f"""
    if name == 'second':
        if os.fork() == 0:
            time.sleep(4)
            open({str(alive)!r}, 'w').close()
        time.sleep(60)
    check(name)
    """
    result = run(tmp_path, body)
    assert statuses(result) == {"first": "passed", "second": "failed", "third": "passed"}
    assert result.checks[1].reason == "it took longer than 2 s"
    assert 2 <= result.checks[1].seconds < 10
    assert not alive.exists()


def test_what_the_time_is_too_short_for_is_named(tmp_path: Path) -> None:
    part = Part("fake", "Too long", limit=3, check_limit=60)
    result = run(tmp_path, "if name == 'second': time.sleep(60)\ncheck(name)", part)
    assert statuses(result) == {"first": "passed", "second": "failed", "third": "not run"}
    assert [check.reason for check in result.checks[1:]] == ["the part's time was over"] * 2
    assert result.seconds < 20


def test_the_limit_counts_from_the_list_of_checks(tmp_path: Path) -> None:
    part = Part("fake", "Slow to start", limit=2, check_limit=60)
    result = run(
        tmp_path, "check(name)", part, head=HEAD.replace("import json", "import time; time.sleep(3)\nimport json")
    )
    assert result.count("passed") == 3
    assert result.seconds > 3


def test_a_part_that_never_starts_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "START_LIMIT", 1.0)
    result = run(tmp_path, "pass", head="import time\ntime.sleep(60)\nif True:\n")
    assert result.outcome == "not run: it could not start: it took longer than 1 s to start"
    assert result.seconds < 20


def test_a_part_that_cannot_start_was_not_run_and_says_why(tmp_path: Path) -> None:
    result = run(tmp_path, "pass", head="import no_such_package\nif True:\n")
    assert result.outcome.startswith("not run: it could not start: exit code 1")
    assert "No module named 'no_such_package'" in result.reason
    assert not result.checks


def test_a_process_that_dies_between_two_checks_is_not_started_for_ever(tmp_path: Path) -> None:
    result = run(tmp_path, "os._exit(9)", head=HEAD.replace('    tell(event="started", name=name)\n', ""))
    assert statuses(result) == dict.fromkeys(["first", "second", "third"], "not run")
    assert all("exit code 9" in check.reason for check in result.checks)
    assert result.restarts == 0
