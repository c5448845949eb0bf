import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from deploy.timing.early_stopping import calls_above, upper_bound


@pytest.mark.parametrize(
    ("calls", "discarded"),
    [(2048, 172), (2116, 178), (2145, 181), (7469, 685)],  # logs of MLPerf's LoadGen, "Would discard ..."
)
def test_as_many_calls_are_discarded_as_by_loadgen(calls: int, discarded: int) -> None:
    assert calls_above(calls, 0.9) == discarded + 1


def test_the_fewest_calls_that_tell_anything() -> None:
    assert [calls_above(calls, 0.9) for calls in (0, 1, 63, 64)] == [0, 0, 0, 1]
    assert [calls_above(calls, 0.99) for calls in (661, 662)] == [0, 1]
    assert upper_bound(range(63), 0.9) is None
    assert upper_bound([*range(1, 64), 0], 0.9) == 63


@given(calls=st.integers(1, 300_000), percentile=st.floats(0.05, 0.999), confidence=st.floats(0.5, 0.9999))
def test_it_is_the_largest_that_the_binomial_allows(calls: int, percentile: float, confidence: float) -> None:
    above = calls_above(calls, percentile, confidence)
    limit = 1 - confidence
    if above:
        assert binom.cdf(above, calls, 1 - percentile) <= limit * (1 + 1e-6)
    assert binom.cdf(above + 1, calls, 1 - percentile) > limit * (1 - 1e-6)


def test_the_bound_holds_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    true = -np.log(1 - 0.9)
    holds = [upper_bound(random.exponential(size=200), 0.9) >= true for _ in range(2000)]
    assert np.mean(holds) >= 0.985
