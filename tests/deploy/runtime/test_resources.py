"""What a container may have, read from files as the kernel writes them."""

import os
from pathlib import Path

import pytest

from deploy.runtime.resources import memory_allowed, memory_left, usable_cores

GB = 10**9
V2 = "30 24 0:26 {group} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "33 32 0:30 {group} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "35 32 0:32 {group} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
NO_LIMIT_V1 = str(0x7FFFFFFFFFFFF000)


@pytest.fixture(autouse=True)
def _sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


def machine(root: Path, mounts: str, membership: str, groups: dict[str, dict[str, str]]) -> Path:
    """A root with 10 GB free, and the files of each group of ``/sys/fs/cgroup``."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: 20000000 kB\nMemAvailable:   {10 * GB // 1024} kB\n")
    (root / "proc/self/mountinfo").write_text("22 1 8:1 / / rw - ext4 /dev/sda rw\n" + mounts)
    (root / "proc/self/cgroup").write_text(membership)
    for group, files in groups.items():
        folder = root / "sys/fs/cgroup" / group
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_text(f"{content}\n")
    return root


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 16),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("1000 100000", 1),
        ("9900000 100000", 16),
        ("max", 16),
        ("", 16),
        ("nonsense", 16),
        ("100000 0", 16),
    ],
)
def test_version_2_gives_cpu_time(tmp_path: Path, quota: str, cores: int) -> None:
    root = machine(tmp_path, V2.format(group="/"), "0::/\n", {"": {"cpu.max": quota}})
    assert usable_cores(root) == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 16), ("250000", 3), ("50000", 1)])
def test_version_1_gives_cpu_time(tmp_path: Path, quota: str, cores: int) -> None:
    files = {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": "100000"}
    root = machine(tmp_path, V1.format(group="/"), "4:memory:/a\n3:cpu,cpuacct:/a\n", {"cpu,cpuacct/a": files})
    assert usable_cores(root) == cores


def test_the_tightest_of_all_ancestors_counts(tmp_path: Path) -> None:
    groups = {
        "": {},
        "pod": {"cpu.max": "300000 100000", "memory.max": str(4 * GB), "memory.current": str(3 * GB)},
        "pod/box": {"cpu.max": "800000 100000", "memory.max": str(2 * GB), "memory.current": str(GB // 2)},
        "pod/box/task": {"cpu.max": "max 100000", "memory.max": "max", "memory.current": "1"},
        "other": {"cpu.max": "100000 100000", "memory.max": "1", "memory.current": "1"},
    }
    root = machine(tmp_path, V2.format(group="/"), "0::/pod/box/task\n", groups)
    assert usable_cores(root) == 3
    assert memory_left(root) == GB
    assert memory_allowed(root) == 2 * GB


def test_affinity_counts_where_it_is_tighter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert usable_cores(machine(tmp_path, V2.format(group="/"), "0::/\n", {"": {"cpu.max": "400000 100000"}})) == 1


@pytest.mark.parametrize(
    ("files", "left"),
    [
        ({"memory.max": str(3 * GB), "memory.current": str(GB)}, 2 * GB),
        (
            {"memory.max": str(3 * GB), "memory.current": str(GB), "memory.stat": f"anon 5\ninactive_file {GB // 2}"},
            2.5 * GB,
        ),
        ({"memory.max": str(GB), "memory.current": str(2 * GB)}, 0),
        ({"memory.max": "max", "memory.current": str(GB)}, 10 * GB),
        ({"memory.max": str(99 * GB), "memory.current": "0"}, 10 * GB),
    ],
)
def test_version_2_bounds_memory(tmp_path: Path, files: dict[str, str], left: float) -> None:
    root = machine(tmp_path, V2.format(group="/"), "0::/\n", {"": files})
    assert memory_left(root) == pytest.approx(left, abs=1024)


@pytest.mark.parametrize(("limit", "left"), [(str(3 * GB), 2 * GB), (NO_LIMIT_V1, 10 * GB)])
def test_version_1_bounds_memory(tmp_path: Path, limit: str, left: int) -> None:
    files = {
        "memory.limit_in_bytes": limit,
        "memory.usage_in_bytes": str(2 * GB),
        "memory.stat": f"total_inactive_file {GB}",
    }
    root = machine(
        tmp_path, V1.format(group="/"), "4:memory:/a/b\n", {"memory/a/b": {}, "memory/a": {}, "memory": files}
    )
    (root / "sys/fs/cgroup/memory/a/memory.limit_in_bytes").write_text("nonsense")
    assert memory_left(root) == pytest.approx(left, abs=1024)


@pytest.mark.parametrize(
    ("mounted", "path"),
    [
        ("/docker/abc", "/docker/abc"),  # no namespace of its own: the host's names
        ("/docker/abc", "/"),
        ("/", "/../../elsewhere"),  # a process that was moved out of its namespace
        ("/", "/gone"),
    ],
)
def test_a_container_is_found_however_its_groups_are_mounted(tmp_path: Path, mounted: str, path: str) -> None:
    files = {"cpu.max": "200000 100000", "memory.max": str(GB), "memory.current": "0"}
    root = machine(tmp_path, V2.format(group=mounted), f"0::{path}\n", {"": files})
    assert (usable_cores(root), memory_left(root)) == (2, GB)


def test_both_versions_at_once(tmp_path: Path) -> None:
    both = V1.format(group="/") + V2.format(group="/").replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified ")
    groups = {
        "cpu,cpuacct": {"cpu.cfs_quota_us": "500000", "cpu.cfs_period_us": "100000"},
        "unified/user": {"cpu.max": "700000 100000", "memory.max": str(GB), "memory.current": "0"},
        "memory": {"memory.limit_in_bytes": NO_LIMIT_V1, "memory.usage_in_bytes": str(GB)},
    }
    root = machine(tmp_path, both, "5:memory:/\n4:cpu,cpuacct:/\n0::/user\n", groups)
    assert (usable_cores(root), memory_left(root)) == (5, GB)


def test_a_system_that_says_nothing_has_no_limit(tmp_path: Path) -> None:
    assert (usable_cores(tmp_path), memory_left(tmp_path), memory_allowed(tmp_path)) == (16, None, None)


def test_this_machine_says_something() -> None:
    assert usable_cores() >= 1
    if Path("/proc/meminfo").exists():
        assert (memory_left() or 0) > 0
