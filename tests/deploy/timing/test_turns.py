from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.timing.turns import Ratio, take_turns, times_as_fast


def test_every_other_round_goes_backwards_and_warm_up_is_thrown_away() -> None:
    order: list[str] = []

    def contender(name: str, factor: float):
        def call(number: int) -> float:
            order.append(f"{name}{number}")
            return 100.0 if number < 2 else factor * number

        return call

    steps: list[None] = []
    times = take_turns({"a": contender("a", 1), "b": contender("b", 2)}, 3, 2, 2, lambda: steps.append(None))
    turns = [name[0] for name in order[::4]]
    assert turns == ["a", "b", "b", "a", "a", "b"]
    assert order[:4] == ["a0", "a1", "a2", "a3"]
    assert times == {"a": [2.5] * 3, "b": [5.0] * 3}
    assert len(steps) == 6


def test_the_ratio_is_that_of_the_rounds() -> None:
    # The machine is twice as slow in the last round, for both.
    assert times_as_fast([1.0, 1.0, 2.0], [3.0, 3.0, 6.0]) == Ratio(3.0, 3.0, 3.0)
    assert times_as_fast([1.0, 1.0, 1.0], [2.0, 3.0, 4.0]) == Ratio(3.0, 2.5, 3.5)
    assert times_as_fast([2.0], [3.0]) == Ratio(1.5, 1.5, 1.5)


@given(times=st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=2))
def test_the_median_is_between_the_quartiles(times: list[tuple[float, float]]) -> None:
    ours, theirs = zip(*times, strict=True)
    found = times_as_fast(ours, theirs)
    assert found.low <= found.median <= found.high
    assert found.median == pytest.approx(median(b / a for a, b in times))
