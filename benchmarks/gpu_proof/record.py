"""What a proof found: its machine, its parts and their checks, as JSON. Standard library only."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

Numbers = dict[str, float | int | str]
"""What a check measured, by name with its unit: ``step, ms``."""

Status = Literal["passed", "failed", "not run"]


@dataclass(frozen=True)
class CheckResult:
    """One check: ``reason`` says why it failed or was not run; its numbers are kept either way."""

    name: str
    status: Status
    reason: str = ""
    seconds: float = 0.0
    numbers: Numbers = field(default_factory=dict)


@dataclass
class PartResult:
    """One part: with a ``reason`` it was not run; ``restarts`` counts processes that a check took down with it."""

    name: str
    title: str
    reason: str = ""
    seconds: float = 0.0
    restarts: int = 0
    checks: list[CheckResult] = field(default_factory=list)

    def count(self, status: Status) -> int:
        """How many checks ended so."""
        return sum(check.status == status for check in self.checks)

    @property
    def outcome(self) -> str:
        """``ran: 12 passed, 1 failed`` or ``not run: why``."""
        if self.reason:
            return f"not run: {self.reason}"
        counts = [f"{count} {status}" for status in ("passed", "failed", "not run") if (count := self.count(status))]
        return f"ran: {', '.join(counts) or 'it has no checks'}"


@dataclass
class Machine:
    """Where a proof ran.

    Attributes:
        gpu: name of the first CUDA device; empty where there is none, and ``reason`` says why.
        rehearsal: the CPU stood in for the GPU at toy sizes: nothing in the record is a statement about a GPU.
        facts: driver, compute capability, CUDA, memory, processor, Python and the like, in the order of the report.
        versions: installed packages that the parts use.
        unlocked: those of them that differ from ``requirements.lock``, with the locked version.
    """

    gpu: str = ""
    reason: str = ""
    rehearsal: bool = False
    facts: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    unlocked: dict[str, str] = field(default_factory=dict)

    @property
    def file_stem(self) -> str:
        """The name of the result's files: the GPU's, in letters, digits and dashes."""
        if self.rehearsal:
            return "rehearsal"
        name = "".join(letter if letter.isalnum() else " " for letter in self.gpu.lower())
        return "-".join(name.split()) or "no-cuda-device"


@dataclass
class Proof:
    """Everything that one run found."""

    machine: Machine
    date: str
    commit: str
    seconds: float = 0.0
    parts: list[PartResult] = field(default_factory=list)

    @property
    def failed(self) -> list[tuple[PartResult, CheckResult]]:
        """Every check that failed, with its part."""
        return [(part, check) for part in self.parts for check in part.checks if check.status == "failed"]

    def write(self, path: Path) -> None:
        """Write the record in one atomic step."""
        replace_text(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a record that :meth:`write` wrote."""
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        parts = [
            PartResult(**{**part, "checks": [CheckResult(**check) for check in part["checks"]]})
            for part in content["parts"]
        ]
        return cls(**{**content, "machine": Machine(**content["machine"]), "parts": parts})


def replace_text(path: Path, text: str) -> None:
    """Write a file in one atomic step; :func:`pipeline.storage.write_atomic` needs packages that may be missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(path)
