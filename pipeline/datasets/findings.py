"""What validation found: collected as it goes, listed as a whole."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from deploy.runtime.errors import shortened
from pipeline.errors import DatasetError
from pipeline.records import FindingGroup, Record, Severity
from pipeline.storage import write_atomic

SHOWN = 50
EXAMPLES = 5
# A name or a value in a message may be as long as its file.
_LONGEST = 1000


class Finding(Record):
    """One problem that validation found in a data set. ``kind`` is the message without what is peculiar to it."""

    severity: Severity
    file: str
    item: str
    kind: str
    message: str


class Findings:
    """Findings about one file, in the order in which they were made.

    Args:
        file: what they are about.
        named: what the user's files call an item (``image 3``, ``annotation 5``), where it is not by these numbers.
    """

    def __init__(self, file: str, named: Callable[[str], str] | None = None) -> None:
        self.file = file
        self.named: Callable[[str], str] = named or str
        self.found: list[Finding] = []

    def error(self, item: str, text: str, *values: object) -> None:
        """Note a problem that stops the run.

        Args:
            item: what of the file it is about.
            text: the same for all findings of this kind; each ``{}`` in it stands for one of the values.
            values: what is peculiar to this one.
        """
        self._note("error", item, text, values)

    def warning(self, item: str, text: str, *values: object) -> None:
        """Note something the user should know that does not stop the run; arguments as of :meth:`error`."""
        self._note("warning", item, text, values)

    def _note(self, severity: Severity, item: str, text: str, values: tuple[object, ...]) -> None:
        message = shortened(text.format(*values) if values else text, _LONGEST)
        kind = shortened(text.format(*["…"] * len(values)) if values else text, _LONGEST)
        named = shortened(self.named(item), _LONGEST)
        self.found.append(Finding(severity=severity, file=self.file, item=named, kind=kind, message=message))


def grouped(findings: Iterable[Finding]) -> list[FindingGroup]:
    """Findings of one kind about one file together, in the order in which the first of each was made."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    counts: Counter[tuple[str, str, str]] = Counter()
    for finding in findings:
        key = (finding.severity, finding.file, finding.kind)
        counts[key] += 1
        if counts[key] <= EXAMPLES:
            groups.setdefault(key, []).append(finding)
    return [
        FindingGroup(
            severity=some[0].severity,
            file=some[0].file,
            kind=some[0].kind,
            count=counts[key],
            examples=[f"{finding.item}: {finding.message}" for finding in some],
        )
        for key, some in groups.items()
    ]


def in_one_line(group: FindingGroup, list_file: Path) -> str:
    """A group for the log: the finding where there is one, else how many and the first; ``list_file`` has them all."""
    others = f"{group.count} like this one, all in {list_file}: " if group.count > 1 else ""
    return f"{group.severity}: {group.file}: {others}{group.examples[0]}"


def write_list(findings: Iterable[Finding], path: Path) -> None:
    """Write one line each."""
    write_atomic(path, "".join(f"{finding.severity}: {_line(finding)}\n" for finding in findings))


def raise_errors(findings: Sequence[Finding], list_file: Path) -> None:
    """Do nothing when no finding is an error.

    Raises:
        DatasetError: there are errors. The message shows up to 50, or the first few of each kind where there are more;
            ``list_file`` gets all findings.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        list_file.unlink(missing_ok=True)
        return
    write_list(findings, list_file)
    shown = "\n".join(f"  {line}" for line in _shown(errors))
    raise DatasetError(
        f"the data set has {len(errors)} error(s):\n{shown}\n"
        f"All {len(findings)} finding(s) are listed in {list_file}. Correct the files and run the stage again; "
        "nothing was left out or changed on its own"
    )


def _shown(errors: Sequence[Finding]) -> list[str]:
    """All errors, or as many of each kind as 50 lines have room for."""
    if len(errors) <= SHOWN:
        return [_line(error) for error in errors]
    groups = grouped(errors)
    for most in range(EXAMPLES, 0, -1):
        lines = [line for group in groups for line in _first(group, most)]
        if len(lines) <= SHOWN:
            return lines
    kinds = [f"{group.count} x {group.file}: {group.examples[0]}" for group in groups]
    return kinds if len(kinds) <= SHOWN else [*kinds[: SHOWN - 1], f"... and {len(kinds) - SHOWN + 1} more kinds"]


def _first(group: FindingGroup, most: int) -> list[str]:
    lines = [f"{group.file}: {example}" for example in group.examples[:most]]
    more = group.count - len(lines)
    return [*lines, f"... and {more} more of this kind: {group.kind}"] if more else lines


def _line(finding: Finding) -> str:
    return f"{finding.file}: {finding.item}: {finding.message}"
