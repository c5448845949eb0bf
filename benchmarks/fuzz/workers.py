"""Processes that cases run in, so that one that hangs, crashes or wants all memory ends itself alone."""

import contextlib
import faulthandler
import importlib
import os
import resource
import signal
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path

from benchmarks.fuzz.cases import Case, Kind, Outcome, Result, damaged, run_case

LIMIT_S = 10.0
MEMORY = 4 << 30
_START_S, _END_S = 300.0, 2.0
_INPUTS = "benchmarks.fuzz.inputs"
_context = get_context("forkserver")


def kind_of(name: str) -> Kind:
    """The kind of a name: ``KIND`` of its module, which is one of ``inputs`` or named in full."""
    kind: Kind = importlib.import_module(_module(name)).KIND
    return kind


def _module(name: str) -> str:
    return name if "." in name else f"{_INPUTS}.{name}"


def preload(names: Sequence[str]) -> None:
    """Let the workers share what the kinds import; to be called before the first of them starts."""
    _context.set_forkserver_preload([_module(name) for name in names])


class Worker:
    """One process at a time, started anew after each that ended; ``folder`` is its own."""

    def __init__(self, folder: Path, names: Sequence[str], limit: float = LIMIT_S) -> None:
        self._folder = folder
        self._names = list(names)
        self._limit = limit
        self._log = folder / "stderr.log"
        self._start()

    def run(self, case: Case, content: bytes | None = None) -> Result:
        """Run a case, or other ``content`` in its place; a hang counts when it is one twice."""
        result = self._run(case, content)
        return self._run(case, content) if result.outcome is Outcome.HANG else result

    def close(self) -> None:
        """End the process, in its own way where it still listens."""
        self._here.close()
        self._process.join(_END_S)
        self._kill()

    def _kill(self) -> None:
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        self._here, there = _context.Pipe()
        self._process = _context.Process(target=serve, args=(there, self._folder, self._log, self._names), daemon=True)
        self._process.start()
        there.close()
        if not self._here.poll(_START_S):
            raise RuntimeError(f"no worker began within {_START_S:.0f} s; see {self._log}")
        self._here.recv()

    def _run(self, case: Case, content: bytes | None) -> Result:
        self._here.send((case, content))
        wait([self._here, self._process.sentinel], self._limit)
        if self._here.poll():
            with contextlib.suppress(EOFError):
                result: Result = self._here.recv()
                return result
        return self._ended(case)

    def _ended(self, case: Case) -> Result:
        # A process that has closed its pipe may need a moment to be gone.
        self._process.join(0.5)
        code = self._process.exitcode
        self._kill()
        self._here.close()
        said = self._log.read_text(encoding="utf-8", errors="replace")[:2000]
        self._start()
        if code is None:
            return Result(case, Outcome.HANG, f"more than {self._limit:g} s\n{said}")
        what = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return Result(case, Outcome.CRASH, f"{what}\n{said}")


def serve(connection: Connection, folder: Path, log: Path, names: Sequence[str]) -> None:
    """The process: runs the cases that come in until the other end closes."""
    _quieten(log)
    kinds = {name: kind_of(name) for name in names}
    _limit_memory()
    connection.send("ready")
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            case, content = connection.recv()
            os.ftruncate(2, 0)
            kind = kinds[case.kind]
            connection.send(run_case(case, kind, damaged(case, kind) if content is None else content, folder))


def _quieten(log: Path) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(handle, stream)
    faulthandler.enable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _limit_memory() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
