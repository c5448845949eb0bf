from itertools import pairwise
from math import inf
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.timing.turns import Ratio, Schedule, Turn, orders, take_turns, times_as_fast, turn_of


def test_warm_up_is_thrown_away_and_the_calls_of_a_round_begin_alike() -> None:
    order: list[tuple[str, int]] = []

    def contender(name: str, factor: float):
        def call(number: int) -> float:
            order.append((name, number))
            return factor * number

        return call

    steps: list[None] = []
    turns = {"a": Turn(2, 2), "b": Turn(0, 1)}
    contenders = {"a": contender("a", 1), "b": contender("b", 2)}
    times = take_turns(contenders, turns, 2, step=lambda: steps.append(None))
    assert order == [
        *[("a", -2), ("a", -1), ("a", 0), ("a", 1), ("b", 0)],
        *[("b", 1), ("a", -1), ("a", 0), ("a", 1), ("a", 2)],
    ]
    assert times == {"a": [0.5, 1.5], "b": [0.0, 2.0]}
    assert len(steps) == 4


def test_every_other_round_goes_backwards_and_followers_change() -> None:
    names = "abcdefgh"
    found = ["".join(order) for order in orders(names, 20)]
    assert found[0] == names
    assert all(sorted(order) == sorted(names) for order in found)
    assert all(odd == even[::-1] for even, odd in zip(found[::2], found[1::2], strict=True))
    before_a = {first for order in found for first, second in pairwise(order) if second == "a"}
    assert len(before_a) >= 5
    assert found == ["".join(order) for order in orders(names, 20)]


def test_time_that_is_spent_ends_the_rounds_but_not_the_first_three() -> None:
    turns = {"a": Turn(0, 1)}
    assert take_turns({"a": float}, turns, 10, seconds=0) == {"a": [0.0, 1.0, 2.0]}
    assert len(take_turns({"a": float}, turns, 10)["a"]) == 10
    assert len(take_turns({"a": float}, turns, 2, seconds=0)["a"]) == 2


@pytest.mark.parametrize(
    ("call", "seconds", "turn"),
    [
        (0.005, 0.050, Turn(2, 8)),  # ten calls fit, with two of warm-up
        (0.005, 0.500, Turn(2, 8)),  # no more than asked for
        (0.020, 0.050, Turn(2, 1)),  # one at least
        (0.200, 1.300, Turn(1, 5)),  # a warm-up of a quarter of a second
        (2.000, 1.300, Turn(0, 1)),  # and none of a call that is longer
        (0.005, inf, Turn(2, 8)),
    ],
)
def test_slow_contenders_have_fewer_calls(call: float, seconds: float, turn: Turn) -> None:
    assert turn_of(call, 8, seconds) == turn


def test_45_rungs_that_take_200_ms_stay_within_a_quarter_of_an_hour() -> None:
    schedule = Schedule(rounds=12, calls=4, seconds=600)
    turn = turn_of(0.2, schedule.calls, schedule.seconds_of(45))
    assert 0.2 * (turn.warmup + turn.calls) * 12 * 45 == pytest.approx(540)


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
