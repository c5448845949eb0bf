"""Starts the parts, watches them, and goes on after whatever ends them. Standard library only."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gpu_proof.parts import BROKEN_DEVICE, Part
from benchmarks.gpu_proof.record import CheckResult, PartResult

_POLL_S = 0.1
START_LIMIT = 60.0
"""Seconds that a process has to say what its checks are. On an H200 machine the imports took 15, the first time 40."""
_LAST_LINES = 4

Progress = Callable[[PartResult, str], None]
"""Called with the part and the name of the check that has begun, or an empty one after a result."""


@dataclass
class _Watch:
    """What the events of a part's processes have said so far."""

    listed: list[str] = field(default_factory=list)
    ended: dict[str, CheckResult] = field(default_factory=dict)
    running: str = ""
    since: float = 0.0
    offset: int = 0
    ready: float | None = None

    def read(self, events: Path) -> bool:
        """Take in the lines that are new; whether there were any."""
        text = events.read_text(encoding="utf-8")[self.offset :] if events.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        self.offset += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))
        return bool(whole)

    def _take(self, event: dict[str, object]) -> None:
        kind = event.pop("event")
        if kind == "listed":
            self.listed = [str(name) for name in event["names"]]  # type: ignore[attr-defined]
            self.ready = time.monotonic()
        elif kind == "started":
            self.running, self.since = str(event["name"]), time.monotonic()
        else:
            self.end(CheckResult(**event))  # type: ignore[arg-type]

    def end(self, result: CheckResult) -> None:
        self.ended[result.name] = result
        self.running = ""

    @property
    def left(self) -> list[str]:
        return [name for name in self.listed if name not in self.ended]


def run_part(part: Part, command: list[str], limit: float, progress: Progress) -> PartResult:
    """Run a part to its end or its limit, in as many processes as it takes.

    Args:
        part: what to run.
        command: starts the part; the file of its events and ``--skip`` with the checks that are done are added.
        limit: seconds for its checks, at most the part's own; what its processes take to start is on top.
        progress: told of every check that begins and ends.
    """
    result, watch = PartResult(part.name, part.title), _Watch()
    start, starting = time.monotonic(), 0.0
    with tempfile.TemporaryDirectory(prefix="gpu-proof-events-") as folder:
        while True:
            events = Path(folder, f"{result.restarts}.jsonl")
            watch.offset, watch.ready, done = 0, None, len(watch.ended)
            begun = time.monotonic()
            arguments = [str(events), *(["--skip", *watch.ended] if watch.ended else [])]
            left = limit + starting - (begun - start)
            ending = _run_once(part, [*command, *arguments], left, watch, events, result, progress)
            starting += (watch.ready or time.monotonic()) - begun
            result.seconds = time.monotonic() - start
            if watch.running:
                passed = time.monotonic() - watch.since
                watch.end(CheckResult(watch.running, "failed", ending, passed))
            result.checks = list(watch.ended.values())
            progress(result, "")
            if not watch.left or result.seconds - starting >= limit or len(watch.ended) == done:
                break
            result.restarts += 1
    if not watch.listed:
        result.reason = f"it could not start: {ending}"
    result.checks += [CheckResult(name, "not run", ending or f"its {limit:.0f} s were over") for name in watch.left]
    return result


def _run_once(
    part: Part, command: list[str], left: float, watch: _Watch, events: Path, result: PartResult, progress: Progress
) -> str:
    """One process of a part; returns why it ended before its time, or nothing."""
    log, begun = events.with_suffix(".log"), time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            while process.poll() is None:
                time.sleep(_POLL_S)
                if watch.read(events):
                    result.checks = list(watch.ended.values())
                    progress(result, watch.running)
                now = time.monotonic()
                if watch.ready is None and now > begun + START_LIMIT:
                    return f"it took longer than {START_LIMIT:.0f} s to start"
                if watch.ready is not None and now > watch.ready + left:
                    return "the part's time was over"
                if watch.running and now - watch.since > part.check_limit:
                    return f"it took longer than {part.check_limit:.0f} s"
        finally:
            _kill(process)
    watch.read(events)
    return "" if process.returncode in (0, BROKEN_DEVICE) else _crash(process.returncode, log)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process with all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _crash(code: int, log: Path) -> str:
    what = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return f"{what}: {' | '.join(lines[-_LAST_LINES:]) or 'it said nothing'}"


def command_of(part: Part, rehearse: bool) -> list[str]:
    """The command that :func:`run_part` starts a part with."""
    command = [sys.executable, "-m", "benchmarks.gpu_proof.part", *(["--rehearse"] if rehearse else [])]
    return [*command, part.name]
