"""The peak of this process's memory."""

import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def peak_memory() -> int:
    """Return the largest resident set size of this process so far, in bytes.

    On Linux the kernel's ``VmHWM`` is read. ``ru_maxrss`` would also count what the parent process held when it
    started this one (it survives ``exec``: getrusage(2), ``setmax_mm_hiwater_rss`` in the kernel's fs/exec.c).
    """
    if _STATUS.exists():
        return _field(_STATUS, "VmHWM")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _field(path: Path, name: str) -> int:
    """A line ``name:  123 kB`` of a file of the kernel, in bytes."""
    fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
    return int(fields[name].split()[0]) * 1024
