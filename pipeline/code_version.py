"""Which commit the code of this project is of."""

import shutil
import subprocess

_CODE = ("configs", "deploy", "pipeline", "stages")
_LONGEST_S = 10


def code_version() -> str | None:
    """The commit of the current folder, and whether code differs from it; None where there is no git or no commit."""
    if (commit := _git("rev-parse", "HEAD")) is None:
        return None
    changes = _git("status", "--porcelain", "--", *_CODE)
    return commit if changes == "" else f"{commit}, with changes"


def _git(*arguments: str) -> str | None:
    if (program := shutil.which("git")) is None:
        return None
    try:
        asked = subprocess.run(
            [program, *arguments], capture_output=True, text=True, check=True, errors="replace", timeout=_LONGEST_S
        )
    except (subprocess.SubprocessError, OSError):
        return None
    return asked.stdout.strip()
