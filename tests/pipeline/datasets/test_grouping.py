from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.datasets.grouping import joined, pairs_of_equal


def test_what_is_joined_to_the_same_is_one_group() -> None:
    assert sorted(map(sorted, joined(6, [(0, 3), (3, 5), (1, 2)]))) == [[0, 3, 5], [1, 2], [4]]
    assert pairs_of_equal(["a", None, "b", "a", None, "a"]) == [(0, 3), (3, 5)]


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_groups_are_the_connected_components(drawn: tuple[int, list[tuple[int, int]]]) -> None:
    count, pairs = drawn
    rows, columns = [first for first, _ in pairs], [second for _, second in pairs]
    labels = connected_components(coo_array(([1] * len(pairs), (rows, columns)), shape=(count, count)), False)[1]
    expected = [[place for place in range(count) if labels[place] == label] for label in set(labels)]
    assert sorted(joined(count, pairs)) == sorted(expected)
