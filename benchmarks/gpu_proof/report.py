"""A proof as Markdown, and the table of docs/gpu.md from the proofs that were committed. Standard library only."""

from collections.abc import Sequence

from benchmarks.gpu_proof.parts import PARTS
from benchmarks.gpu_proof.record import CheckResult, Numbers, PartResult, Proof

_MARKS = {"passed": "✓", "failed": "**failed**", "not run": "not run"}


def to_markdown(proof: Proof) -> str:
    """The whole proof: what ran, what failed first of all, then every number."""
    sections = [_head(proof), _summary(proof), _failures(proof), *map(_part, proof.parts), _machine(proof)]
    return "\n\n".join(section for section in sections if section) + "\n"


def proofs_table(proofs: Sequence[tuple[str, Proof]]) -> str:
    """What ran on which GPU: a line a part, a column a proof.

    Args:
        proofs: each with the address of its own page; none gives a table that says so.
    """
    titles = [f"[{proof.machine.gpu}]({address}), {proof.date[:10]}" for address, proof in proofs]
    lines = [["part", *(titles or ["on a GPU"])], ["---"] * (1 + max(1, len(proofs)))]
    for part in PARTS:
        found = [_outcome_of(part.name, proof) for _, proof in proofs]
        lines.append([part.title, *(found or ["has not run yet"])])
    return "\n".join(map(_row, lines))


def _outcome_of(name: str, proof: Proof) -> str:
    part = next((part for part in proof.parts if part.name == name), None)
    return _escape(part.outcome) if part else "not run: it is newer than this proof"


def _head(proof: Proof) -> str:
    if proof.machine.rehearsal:
        title = "Rehearsal of the proof on a GPU"
        note = "The CPU stood in for the GPU, at toy sizes. **Nothing below says anything about a GPU.**\n\n"
    else:
        title, note = f"Proof on a GPU: {proof.machine.gpu or 'no GPU'}", ""
    commit = f", commit {proof.commit}" if proof.commit else ""
    return f"# {title}\n\n{note}{proof.date}{commit}, {proof.seconds:.0f} s in all. `make gpu-proof` writes this page."


def _summary(proof: Proof) -> str:
    rows = [["part", "outcome", "seconds"], ["---", "---", "---:"]]
    rows += [[part.title, _escape(part.outcome), f"{part.seconds:.0f}"] for part in proof.parts]
    return "\n".join(map(_row, rows))


def _failures(proof: Proof) -> str:
    if not proof.failed:
        return ""
    lines = [f"- **{part.name}: {_escape(check.name)}**: {_escape(check.reason)}" for part, check in proof.failed]
    return "\n".join([f"## What failed ({len(lines)})", "", *lines])


def _part(part: PartResult) -> str:
    if not part.checks:
        return ""
    lines = [f"## {part.title}", ""]
    if part.restarts:
        lines += [f"A check took its process down {part.restarts} time(s); the others went on in a new one.", ""]
    columns = _columns(part.checks)
    if len(columns) > _MOST_COLUMNS or not columns:
        rows = [["check", "", "seconds", "found"], ["---", "---", "---:", "---"]]
        rows += [[*_check(check), _found(check)] for check in part.checks]
    else:
        rows = [
            ["check", "", "seconds", *map(_escape, columns), "note"],
            ["---", "---", *["---:"] * (len(columns) + 1)],
        ]
        rows[1].append("---")
        rows += [
            [*_check(check), *(_cell(check.numbers, name) for name in columns), _note(check)] for check in part.checks
        ]
    return "\n".join([*lines, *map(_row, rows)])


_MOST_COLUMNS = 8


def _columns(checks: Sequence[CheckResult]) -> list[str]:
    return list(dict.fromkeys(name for check in checks for name in check.numbers))


def _check(check: CheckResult) -> list[str]:
    return [_escape(check.name), _MARKS[check.status], f"{check.seconds:.1f}"]


def _cell(numbers: Numbers, name: str) -> str:
    return _value(numbers[name]) if name in numbers else ""


def _found(check: CheckResult) -> str:
    values = [f"{_escape(name)} {_value(value)}" for name, value in check.numbers.items()]
    return "<br>".join(filter(None, [*values, _note(check)]))


def _note(check: CheckResult) -> str:
    return _escape(check.reason)


def _value(value: float | int | str) -> str:
    return _escape(value) if isinstance(value, str) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _machine(proof: Proof) -> str:
    machine = proof.machine
    facts = [f"- {name}: {_escape(value)}" for name, value in machine.facts.items()]
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    other = ", ".join(
        f"{name} {machine.versions[name]} (locked: {locked})" for name, locked in machine.unlocked.items()
    )
    lines = [*facts, f"- packages: {versions or 'none of those that the parts use'}"]
    lines.append(f"- other versions than `requirements.lock`: {other or 'none'}")
    return "\n".join(["## The machine", "", *lines])


def _escape(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
