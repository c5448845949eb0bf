"""What is fuzzed: kinds of inputs with valid samples, and one case of damage with its outcome."""

import tempfile
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random

from benchmarks.fuzz.byte_damage import Damage

_LONGEST_MESSAGE = 20_000


class Outcome(StrEnum):
    """How a case ended; the first two are as it should be."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    FOREIGN = "foreign exception"
    UNCLEAR = "unclear refusal"
    DIFFERENT = "silently different"
    CRASH = "crash"
    HANG = "hang"

    @property
    def is_failure(self) -> bool:
        return self not in (Outcome.ACCEPTED, Outcome.REFUSED)


class Refused(Exception):
    """For readers that return a reason and raise nothing."""


@dataclass(frozen=True)
class Sample:
    """A valid input.

    Attributes:
        file: what it is called in the folder that it is read from.
        damage: makes the input of a case of it.
        exact: whoever accepts it must read what the undamaged file holds, because something in it tells.
    """

    file: str
    content: bytes
    damage: Damage
    exact: bool = False


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Attributes:
        samples: valid inputs by name.
        read: the project's reader, given the path of a file in a folder of its own. It returns what it read, in a form
            that can be compared.
        own: the errors that the project promises for it.
        share: how many cases it gets beside others.
    """

    samples: Mapping[str, Sample]
    read: Callable[[Path], object]
    own: tuple[type[Exception], ...]
    share: float = 1.0


@dataclass(frozen=True)
class Case:
    """One damaged input: everything in it follows from these four."""

    kind: str
    sample: str
    seed: int
    number: int

    @property
    def name(self) -> str:
        """As a file name."""
        return f"{self.kind}--{self.sample}--{self.seed}--{self.number}"


@dataclass(frozen=True)
class Result:
    """How a case ended, and what was said."""

    case: Case
    outcome: Outcome
    detail: str = ""


def damaged(case: Case, kind: Kind) -> bytes:
    """The input of a case."""
    sample = kind.samples[case.sample]
    return sample.damage(Random(case.name), sample.content)


def run_case(case: Case, kind: Kind, content: bytes, parent: Path) -> Result:
    """Give the input of a case to its reader, in a folder that is removed afterwards."""
    sample = kind.samples[case.sample]
    own: tuple[type[Exception], ...] = (Refused, *kind.own)
    with tempfile.TemporaryDirectory(dir=parent, ignore_cleanup_errors=True) as folder:
        path = Path(folder, sample.file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        try:
            found = kind.read(path)
        except own as error:
            return Result(case, *_judged(str(error), path))
        except BaseException:
            return Result(case, Outcome.FOREIGN, traceback.format_exc())
    if sample.exact and found != expected(case, kind, parent):
        return Result(case, Outcome.DIFFERENT, f"read {str(found)[:500]}")
    return Result(case, Outcome.ACCEPTED)


def _judged(message: str, path: Path) -> tuple[Outcome, str]:
    if path.name.partition(".")[0] not in message:
        return Outcome.UNCLEAR, f"the message does not name {path.name}: {message[:2000]}"
    if len(message) > _LONGEST_MESSAGE:
        return Outcome.UNCLEAR, f"the message has {len(message)} characters: {message[:500]}"
    return Outcome.REFUSED, message[:2000]


_expected: dict[tuple[str, str], object] = {}


def expected(case: Case, kind: Kind, parent: Path) -> object:
    """What the undamaged sample of a case holds; a sample that cannot be read is a fault of the sample."""
    key = case.kind, case.sample
    if key not in _expected:
        sample = kind.samples[case.sample]
        with tempfile.TemporaryDirectory(dir=parent) as folder:
            path = Path(folder, sample.file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sample.content)
            _expected[key] = kind.read(path)
    return _expected[key]
