"""What is kept of a case that failed, and the table of all."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fuzz.cases import Case, Kind, Outcome, Result, damaged

_SAID = ".txt"


def keep(result: Result, kind: Kind, out: Path) -> Path:
    """Write the input of a case, and beside it how it ended."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{result.case.name}{Path(kind.samples[result.case.sample].file).suffix}"
    path.write_bytes(damaged(result.case, kind))
    said = f"{result.outcome}\n{result.detail}\n"
    path.with_name(path.name + _SAID).write_text(said, encoding="utf-8", errors="backslashreplace")
    return path


def case_of(path: Path) -> Case:
    """The case that a kept input is of; ends the program where its name is none that :func:`keep` gives."""
    parts = path.name.split("--")
    number = parts[-1].partition(".")[0]
    if len(parts) != 4 or not (parts[2].isdecimal() and number.isdecimal()) or not path.is_file():
        sys.exit(f"error: {path}: no file KIND--SAMPLE--SEED--NUMBER that an earlier run kept")
    return Case(parts[0], parts[1], int(parts[2]), int(number))


def table(results: Sequence[Result]) -> str:
    """Counts of every outcome by kind, in Markdown."""
    counts = Counter((result.case.kind, result.outcome) for result in results)
    kinds = list(dict.fromkeys(result.case.kind for result in results))
    lines = [_line("kind", "cases", *Outcome), _line("---", *["---:"] * (1 + len(Outcome)))]
    for kind in kinds:
        found = [counts[kind, outcome] for outcome in Outcome]
        lines.append(_line(kind, sum(found), *found))
    totals = [sum(counts[kind, outcome] for kind in kinds) for outcome in Outcome]
    return "\n".join([*lines, _line("all", sum(totals), *totals)])


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
