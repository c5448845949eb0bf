"""One part in a process of its own: ``python -m benchmarks.gpu_proof.part NAME EVENTS [--skip CHECK ...]``.

Each event is a line of JSON that is written before the next thing happens: ``listed`` with the names of all checks,
``started`` and ``ended`` of each one. What ends a process ends it between two lines.
"""

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_proof.parts import BROKEN_DEVICE
from benchmarks.gpu_proof.place import Check, Mismatch, NotRun, Place
from benchmarks.gpu_proof.record import CheckResult, Numbers, Status

_FRAMES = 3


def run_checks(checks: Iterable[Check], place: Place, events: Path, skip: Iterable[str] = ()) -> int:
    """Run every check but those to ``skip``, whatever becomes of the others; returns the exit code."""
    checks, skip = list(checks), set(skip)
    _tell(events, event="listed", names=[check.name for check in checks])
    for check in checks:
        if check.name in skip:
            continue
        _tell(events, event="started", name=check.name)
        _tell(events, event="ended", **asdict(run_check(check)))
        if not place.is_healthy():
            return BROKEN_DEVICE
        place.free()
    return 0


def run_check(check: Check) -> CheckResult:
    """Run one check to its end, whatever that is."""
    numbers: Numbers = {}
    start = time.perf_counter()
    try:
        check.run(numbers)
        status: Status = "passed"
        reason = ""
    except NotRun as error:
        status, reason = "not run", str(error)
    except Mismatch as error:
        status, reason = "failed", str(error)
    except (Exception, SystemExit) as error:  # strange hardware breaks anything
        status, reason = "failed", describe(error)
    return CheckResult(check.name, status, reason, time.perf_counter() - start, numbers)


def describe(error: BaseException) -> str:
    """An error with the last places that it came through."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return f"{type(error).__name__}: {str(error).strip() or 'no message'} [{where}]"


def _tell(events: Path, **event: Any) -> None:
    with events.open("a", encoding="utf-8") as file:
        file.write(json.dumps(event, default=str) + "\n")
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_proof.part", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("events", type=Path)
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--skip", nargs="*", default=[])
    arguments = parser.parse_args()
    device = torch.device("cpu") if arguments.rehearse else torch.device("cuda", 0)
    with tempfile.TemporaryDirectory(prefix=f"gpu-proof-{arguments.name}-") as scratch:
        place = Place(device, arguments.rehearse, Path(scratch))
        module = importlib.import_module(f"benchmarks.gpu_proof.{arguments.name}")
        code = run_checks(module.checks(place), place, arguments.events, arguments.skip)
    # Without the interpreter's own end, where a broken CUDA context can hang or crash.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
