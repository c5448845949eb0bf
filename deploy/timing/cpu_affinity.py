"""Which CPU cores a measurement runs on."""

import os
from collections.abc import Iterable
from pathlib import Path

_TOPOLOGY = Path("/sys/devices/system/cpu")


def pin(threads: int) -> tuple[int, ...]:
    """Keep this process, and the threads that it starts from now on, on ``threads`` cores; returns their numbers.

    Each is a physical core as long as there are any, so that two threads do not share one. With as many threads as
    cores nothing changes; where the system has no affinity (macOS) the result is empty.
    """
    if not hasattr(os, "sched_setaffinity"):
        return ()
    chosen = spread_out(os.sched_getaffinity(0), threads)
    os.sched_setaffinity(0, chosen)
    return chosen


def spread_out(cores: Iterable[int], count: int, topology: Path = _TOPOLOGY) -> tuple[int, ...]:
    """The first ``count`` of ``cores``: one of each physical core before the second of any.

    Source: ``core_id`` and ``physical_package_id`` of Linux' sysfs (Documentation/admin-guide/cputopology.rst).
    """
    seen: dict[tuple[str, str], int] = {}
    ranked = []
    for core in sorted(cores):
        place = _physical(core, topology)
        ranked.append((seen.get(place, 0), core))
        seen[place] = seen.get(place, 0) + 1
    return tuple(sorted(core for _, core in sorted(ranked)[:count]))


def _physical(core: int, topology: Path) -> tuple[str, str]:
    folder = topology / f"cpu{core}" / "topology"
    try:
        return (folder / "physical_package_id").read_text().strip(), (folder / "core_id").read_text().strip()
    except OSError:
        return "", str(core)
