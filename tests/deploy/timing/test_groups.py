"""Real artefacts that are open at once, in groups of a bounded number."""

from collections.abc import Sequence
from pathlib import Path
from time import process_time, sleep

import numpy as np
import pytest

from deploy.runtime.errors import ArtefactError, BackendClosed, BackendUnavailable
from deploy.timing.groups import Contender, Entrants, Opened, has_room
from tests.deploy.tiny import write_artefact, write_broken_artefact

BATCH = [np.zeros((32, 48, 3), np.uint8)]


@pytest.fixture
def contenders(tmp_path: Path) -> list[Contender]:
    """Seven files under one backend."""
    return [Contender(str(write_artefact(tmp_path / f"{number}.onnx")), "onnxruntime") for number in range(7)]


def places(groups: Sequence[Sequence[Opened]]) -> list[list[int]]:
    return [[each.place for each in group] for group in groups]


def test_no_more_are_open_than_allowed_and_the_reference_is_in_every_group(contenders: list[Contender]) -> None:
    entrants = Entrants(contenders, BATCH, threads=1, sessions=3)
    seen: list[list[Opened]] = []
    for group in entrants.groups(lambda: 1):
        for earlier in seen:
            for each in earlier:
                with pytest.raises(BackendClosed):
                    each.detector.timed(BATCH)
        assert all(each.detector.timed(BATCH)[1].total > 0 for each in group)
        seen.append(group)
    assert places(seen) == [[0, 1, 2], [1, 3, 4], [1, 5, 6]]
    assert entrants.refused == []


def test_memory_bounds_them_too(contenders: list[Contender]) -> None:
    readings = iter([*(100, 90, 72, 68, 49), *(100, 90, 40), *(100, 90, 80, 70, 50)])
    entrants = Entrants(contenders, BATCH, 1, 64, lambda: next(readings))
    # 68 - 18, which is the most that one took so far, is half of 100: a fourth may come, and takes even more.
    assert places(list(entrants.groups(lambda: 0))) == [[0, 1, 2, 3], [0, 4], [0, 5, 6]]


@pytest.mark.parametrize(
    ("free", "room"),
    [
        ([100], True),
        ([100, 1], True),  # a second one always, or nothing would be compared
        ([100, 90, 80], True),
        ([100, 80, 69], False),  # one that takes 20 as the first did would leave less than half
        ([100, 80, 70], True),
        ([100, 90, 85, 80], False),  # three are open
        ([None, None, None], True),
    ],
)
def test_room(free: list[int | None], room: bool) -> None:
    assert has_room(free, sessions=3) is room


def test_who_cannot_run_is_left_out_alone_and_takes_nobody_along(contenders: list[Contender], tmp_path: Path) -> None:
    broken = Contender(str(write_broken_artefact(tmp_path / "broken.onnx")), "onnxruntime")
    missing = Contender(str(tmp_path / "missing.onnx"), "onnxruntime")
    elsewhere = Contender(contenders[0].artefact, "onnxruntime-cuda")
    entrants = Entrants([missing, *contenders[:2], broken, contenders[2], elsewhere], BATCH, 1, 64)
    # A want of memory would end like this, so it is tried again in a group of its own before it is given up.
    assert places(list(entrants.groups(lambda: 1))) == [[1, 2], [1, 4]]
    assert [each.contender for each in entrants.refused] == [missing, broken, elsewhere]
    assert [type(each.error) for each in entrants.refused] == [ArtefactError, ArtefactError, BackendUnavailable]


def test_who_waits_for_its_turn_takes_next_to_no_cpu_time(artefact: Path) -> None:
    contenders = [Contender(str(artefact), backend) for backend in ("onnxruntime", "openvino")]
    for group in Entrants(contenders, BATCH, threads=2, sessions=64).groups(lambda: 0):
        for each in group:
            each.detector.timed(BATCH)
            began = process_time()
            sleep(0.1)
            # Threads that go on looking for work take some 25 ms here, in ONNX Runtime as it comes.
            assert process_time() - began < 0.01
