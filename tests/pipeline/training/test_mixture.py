"""The order of labelled pictures and pictures with pseudo-labels."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.mixture import Mixture

SIZES = st.integers(1, 30)


@given(labelled=SIZES, others=SIZES, ratio=st.floats(0.05, 20), seed=st.integers(0, 9), processes=st.integers(1, 3))
def test_each_kind_is_gone_through_evenly_in_the_given_ratio(
    labelled: int, others: int, ratio: float, seed: int, processes: int
) -> None:
    length = 60
    mixtures = [Mixture(labelled, others, ratio, seed, rank, processes) for rank in range(processes)]
    drawn = [mixture.index(position) for position in range(length) for mixture in mixtures]
    assert all(0 <= index < labelled + others for index in drawn)
    kinds = [index >= labelled for index in drawn]
    share = ratio / (1 + ratio)
    assert abs(sum(kinds) / processes - length * share) <= 1
    # Processes have pictures of one kind at a time, and no picture is seen twice before each was seen once.
    assert all(len({*kinds[at : at + processes]}) == 1 for at in range(0, len(kinds), processes))
    for size, of_kind in ((labelled, False), (others, True)):
        counts = Counter(index for index, kind in zip(drawn, kinds, strict=True) if kind is of_kind)
        rounds = sum(counts.values()) / size
        assert all(int(rounds) <= count <= int(rounds) + 1 for count in counts.values())


def test_orders_are_those_of_the_seed_and_anew_in_each_round() -> None:
    first, second = ([Mixture(20, 20, 1.0, seed).index(at) for at in range(80)] for seed in (0, 1))
    assert first == [Mixture(20, 20, 1.0, 0).index(at) for at in range(80)]
    assert first != second
    assert first[:40] != first[40:]
    assert sorted(first[:40]) == sorted(first[40:]) == list(range(40))


@pytest.mark.parametrize(("ratio", "wanted"), [(1.0, "LULU"), (3.0, "LUUU"), (1 / 3, "LLLU")])
def test_kinds_take_turns_in_even_distances(ratio: float, wanted: str) -> None:
    mixture = Mixture(100, 100, ratio, 0)
    assert "".join("LU"[mixture.index(at) >= 100] for at in range(8)) == wanted * 2
