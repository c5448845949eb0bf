"""Cores and memory that this process may use: what the machine has, and what its container is allowed of it.

A container sees the whole machine's cores and memory. What it may have of them stands in its control groups, version 1
or 2, and in those of all its ancestors (Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel).
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")
_CGROUP2 = "cgroup2"


def usable_cores(root: Path = _ROOT) -> int:
    """Cores that this process may run on at once: its affinity, and the CPU time that its control groups get.

    ``root`` is where ``/proc`` and ``/sys`` are looked for.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([affinity, *map(math.ceil, _quotas(root))]))


def memory_left(root: Path = _ROOT) -> int | None:
    """Bytes that can still be taken without swapping or being killed for it; None where the system does not say."""
    left = [limit - used for limit, used in _memory(root)]
    if (available := _field(root / "proc/meminfo", "MemAvailable")) is not None:
        left.append(available)
    return max(0, min(left)) if left else None


def memory_allowed(root: Path = _ROOT) -> int | None:
    """Bytes that the control groups of this process allow it, whatever it holds; None where they set no limit."""
    return min((limit for limit, _ in _memory(root)), default=None)


@dataclass(frozen=True)
class _Mount:
    """A hierarchy of control groups: the folder where it is mounted, and the group which that folder is."""

    folder: Path
    group: str
    kind: str
    options: frozenset[str]


def _quotas(root: Path) -> Iterator[float]:
    for group, mount in _groups(root, "cpu"):
        if mount.kind == _CGROUP2:
            quota, period = (*_words(group / "cpu.max"), "", "")[:2]
        else:
            quota, period = (next(iter(_words(group / f"cpu.cfs_{name}_us")), "") for name in ("quota", "period"))
        # No limit is "max" or -1.
        if quota.isdecimal() and period.isdecimal() and int(period):
            yield int(quota) / int(period)


def _memory(root: Path) -> Iterator[tuple[int, int]]:
    """Limit and use of every group that has a limit; pages of files that are given back when asked for do not count."""
    for group, mount in _groups(root, "memory"):
        new = mount.kind == _CGROUP2
        limit = _number(group / ("memory.max" if new else "memory.limit_in_bytes"))
        used = _number(group / ("memory.current" if new else "memory.usage_in_bytes"))
        if limit is None or used is None:
            continue
        given_back = _field(group / "memory.stat", "inactive_file" if new else "total_inactive_file") or 0
        yield limit, max(0, used - given_back)


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, _Mount]]:
    """The folders of this process's group and of all its ancestors, in every hierarchy that has the controller."""
    memberships = [line.split(":", 2) for line in _lines(root / "proc/self/cgroup") if line.count(":") >= 2]
    for mount in _mounts(root):
        new = mount.kind == _CGROUP2
        if not new and controller not in mount.options:
            continue
        for _, controllers, path in memberships:
            if controllers == "" if new else controller in controllers.split(","):
                for group in _upwards(path, mount):
                    yield group, mount


def _upwards(path: str, mount: _Mount) -> Iterator[Path]:
    # What lies outside of the mount (a container that sees the names of its host) is told of by the mount itself.
    inside = Path(path).is_relative_to(mount.group) and ".." not in Path(path).parts
    relative = Path(path).relative_to(mount.group) if inside else Path()
    for depth in range(len(relative.parts), -1, -1):
        yield mount.folder.joinpath(*relative.parts[:depth])


def _mounts(root: Path) -> Iterator[_Mount]:
    for line in _lines(root / "proc/self/mountinfo"):
        before, separator, after = line.partition(" - ")
        fields, (kind, _, *options) = before.split(), [*after.split(), "", ""]
        if separator and kind in ("cgroup", _CGROUP2) and len(fields) > 4:
            known = frozenset(",".join(options).split(","))
            yield _Mount(root / _unescaped(fields[4]).lstrip("/"), _unescaped(fields[3]), kind, known)


def _unescaped(path: str) -> str:
    for code, sign in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, sign)
    return path


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _number(path: Path) -> int | None:
    word = next(iter(_words(path)), "")
    return int(word) if word.isdecimal() else None


def _field(path: Path, name: str) -> int | None:
    """A line ``name 123`` in bytes, or ``name:  123 kB``, of a file of the kernel."""
    for line in _lines(path):
        words = line.replace(":", " ").split()
        if len(words) > 1 and words[0] == name and words[1].isdecimal():
            return int(words[1]) * (1024 if words[2:] == ["kB"] else 1)
    return None
