import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.timing.cpu_affinity import spread_out


def machine(root: Path, places: dict[int, tuple[int, int]]) -> Path:
    """sysfs of a machine: (package, physical core) of each logical one."""
    for core, (package, physical) in places.items():
        folder = root / f"cpu{core}" / "topology"
        folder.mkdir(parents=True)
        (folder / "physical_package_id").write_text(f"{package}\n")
        (folder / "core_id").write_text(f"{physical}\n")
    return root


@pytest.mark.parametrize(
    ("count", "chosen"), [(1, (0,)), (2, (0, 2)), (3, (0, 1, 2)), (4, (0, 1, 2, 3)), (9, (0, 1, 2, 3))]
)
def test_physical_cores_come_before_their_second_threads(tmp_path: Path, count: int, chosen: tuple[int, ...]) -> None:
    topology = machine(tmp_path, {0: (0, 0), 1: (0, 0), 2: (0, 1), 3: (0, 1)})
    assert spread_out({3, 2, 1, 0}, count, topology) == chosen


def test_equal_core_numbers_of_two_packages_are_two_cores(tmp_path: Path) -> None:
    topology = machine(tmp_path, {0: (0, 0), 1: (0, 0), 2: (1, 0), 3: (1, 0)})
    assert spread_out(range(4), 2, topology) == (0, 2)


def test_only_cores_that_may_be_used_are_chosen(tmp_path: Path) -> None:
    topology = machine(tmp_path, {0: (0, 0), 1: (0, 0), 2: (0, 1), 3: (0, 1)})
    assert spread_out({1, 3}, 2, topology) == (1, 3)


def test_without_a_topology_every_core_is_its_own(tmp_path: Path) -> None:
    assert spread_out({4, 5, 6}, 2, tmp_path) == (4, 5)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_the_process_stays_on_its_cores() -> None:
    # In a process of its own: this one's tests go on on every core.
    code = "import os; from deploy.timing.cpu_affinity import pin; print(pin(1), os.sched_getaffinity(0))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    core = sorted(os.sched_getaffinity(0))[0]
    assert said.strip() == f"({core},) {{{core}}}"
