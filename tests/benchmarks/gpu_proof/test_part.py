"""Checks inside their process: every ending is an event, and a broken device ends the process."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.gpu_proof.part import run_check, run_checks
from benchmarks.gpu_proof.parts import BROKEN_DEVICE
from benchmarks.gpu_proof.place import Check, Mismatch, NotRun, Place, expect
from benchmarks.gpu_proof.record import Numbers


class Simulated(Place):
    """A CUDA device made of host memory, which breaks once ``broken`` says so."""

    broken = False

    def is_healthy(self) -> bool:
        return not Simulated.broken and super().is_healthy()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    Simulated.broken = False
    return Simulated(torch.device("cpu"), False, tmp_path)


def events(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def measured(numbers: Numbers) -> None:
    numbers["step, ms"] = 2.5


def raising(error: BaseException) -> Check:
    def run(numbers: Numbers) -> None:
        measured(numbers)
        raise error

    return Check("raising", run)


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (NotRun("one GPU"), "not run", "one GPU"),
        (Mismatch("AP is 3"), "failed", "AP is 3"),
        (torch.OutOfMemoryError("CUDA out of memory"), "failed", "OutOfMemoryError: CUDA out of memory"),
        (RuntimeError(), "failed", "RuntimeError: no message"),
        (SystemExit(2), "failed", "SystemExit: 2"),
    ],
)
def test_whatever_ends_a_check_is_told_and_its_numbers_stay(error: BaseException, status: str, reason: str) -> None:
    found = run_check(raising(error))
    assert (found.status, found.numbers) == (status, {"step, ms": 2.5})
    assert found.reason.startswith(reason)
    if status == "failed" and not isinstance(error, Mismatch):
        assert "test_part.py" in found.reason


def test_checks_go_on_after_a_failure_and_those_that_are_done_are_skipped(place: Place, tmp_path: Path) -> None:
    checks = [Check("done", measured), raising(ValueError("x")), Check("last", measured)]
    path = tmp_path / "events"
    assert run_checks(checks, place, path, skip=["done"]) == 0
    assert [(event["event"], event.get("name")) for event in events(path)] == [
        ("listed", None),
        ("started", "raising"),
        ("ended", "raising"),
        ("started", "last"),
        ("ended", "last"),
    ]
    assert events(path)[0]["names"] == ["done", "raising", "last"]


def test_a_check_that_breaks_the_device_ends_the_process_after_its_result(place: Place, tmp_path: Path) -> None:
    def illegal(numbers: Numbers) -> None:
        Simulated.broken = True
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    path = tmp_path / "events"
    assert run_checks([Check("illegal", illegal), Check("next", measured)], place, path) == BROKEN_DEVICE
    assert events(path)[-1]["name"] == "illegal"
    assert "illegal memory access" in events(path)[-1]["reason"]


@pytest.mark.parametrize("found", [0.2, float("nan"), float("inf")])
def test_a_number_above_its_limit_or_none_at_all_is_a_mismatch(found: float) -> None:
    expect("distance", 0.1, 0.1)
    with pytest.raises(Mismatch, match="distance is"):
        expect("distance", found, 0.1)
