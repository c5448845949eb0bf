"""What validation found: collected as it goes, listed as a whole."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from deploy.runtime.errors import shortened
from pipeline.errors import DatasetError
from pipeline.records import Finding
from pipeline.storage import write_atomic

SHOWN = 50
# A name or a value in a message may be as long as its file.
_LONGEST = 1000


class Findings:
    """Findings about one file, in the order in which they were made."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found: list[Finding] = []

    def error(self, item: str, message: str) -> None:
        """Note a problem that stops the run."""
        self._note("error", item, message)

    def warning(self, item: str, message: str) -> None:
        """Note something the user should know that does not stop the run."""
        self._note("warning", item, message)

    def _note(self, severity: Literal["error", "warning"], item: str, message: str) -> None:
        self.found.append(Finding(severity=severity, file=self.file, item=item, message=shortened(message, _LONGEST)))


def raise_errors(findings: Sequence[Finding], list_file: Path) -> None:
    """Do nothing when no finding is an error.

    Raises:
        DatasetError: there are errors. The message shows the first 50; ``list_file`` gets all findings.
    """
    errors = [finding for finding in findings if finding.severity == "error"]
    if not errors:
        list_file.unlink(missing_ok=True)
        return
    write_atomic(list_file, "".join(f"{finding.severity}: {_line(finding)}\n" for finding in findings))
    shown = "\n".join(f"  {_line(finding)}" for finding in errors[:SHOWN])
    rest = f"\n  ... and {len(errors) - SHOWN} more" if len(errors) > SHOWN else ""
    raise DatasetError(
        f"the data set has {len(errors)} error(s):\n{shown}{rest}\n"
        f"All {len(findings)} finding(s) are listed in {list_file}. Correct the files and run the stage again; "
        "nothing was left out or changed on its own"
    )


def _line(finding: Finding) -> str:
    return f"{finding.file}: {finding.item}: {finding.message}"
