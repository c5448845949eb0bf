"""Validations are where mmengine's own loops have them."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mmengine.runner.loops import EpochBasedTrainLoop, IterBasedTrainLoop
from mmengine.runner.utils import calc_dynamic_intervals

from pipeline.training.validation_times import ValidationTimes


def of_mmengine(loop: Any, last: int, interval: int, changes: list[tuple[int, int]]) -> list[int]:
    """The units after which mmengine validates, by its own arithmetic."""
    own = object.__new__(loop)
    own.dynamic_milestones, own.dynamic_intervals = calc_dynamic_intervals(interval, changes)
    found = []
    for done in range(1, last + 1):
        own._epoch = own._iter = done
        own._decide_current_val_interval()
        if done % own.val_interval == 0 or done == last:
            found.append(done)
    return found


@given(
    last=st.integers(1, 40),
    interval=st.integers(1, 12),
    changes=st.lists(st.tuples(st.integers(0, 45), st.integers(1, 8)), max_size=3, unique_by=lambda change: change[0]),
    unit=st.integers(1, 3),
)
def test_every_unit_agrees(last: int, interval: int, changes: list[tuple[int, int]], unit: int) -> None:
    changes.sort()
    times = ValidationTimes(interval, changes, last, unit)
    found = [iteration for iteration in range(1, last * unit + 1) if times.has(iteration)]
    for loop in (EpochBasedTrainLoop, IterBasedTrainLoop):
        assert found == [unit * done for done in of_mmengine(loop, last, interval, changes)]


def test_rtmdets_last_stage_is_validated_after_every_epoch() -> None:
    times = ValidationTimes(10, [(280, 1)], last=300, unit=7)
    found = [iteration // 7 for iteration in range(1, 2101) if times.has(iteration)]
    assert found == [*range(10, 280, 10), *range(279, 301)]
