"""The interval around a measured value: against closed forms and scipy, and its limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipeline.evaluation.bootstrap import centred_interval, draw_images, jackknife_error, leave_groups_out

NAN = float("nan")
VALUES = st.lists(st.floats(0, 100) | st.just(NAN), min_size=1, max_size=30)


def test_the_percentiles_are_moved_to_the_measured_value() -> None:
    # 0 to 100 has 5 and 95 as its percentiles and 50 as its median.
    interval = centred_interval(17.5, np.arange(101.0), NAN, 0.9)
    assert (interval.low, interval.high, interval.confidence) == pytest.approx((17.5 - 45, 17.5 + 45, 0.9))


def test_the_sides_keep_their_lengths() -> None:
    interval = centred_interval(0, np.array([0.0, 1, 2, 4, 8]), 0, 0.5)
    assert (interval.low, interval.high) == (1 - 2, 4 - 2)


@pytest.mark.parametrize(("times", "stretch"), [(0, 1), (0.5, 1), (1, 1), (1.5, 1.5), (3, 3)])
def test_the_interval_is_stretched_to_the_standard_error_and_never_narrowed(times: float, stretch: float) -> None:
    draws = np.random.default_rng(0).normal(30, 2, 500)
    plain = centred_interval(30, draws, NAN, 0.95)
    interval = centred_interval(30, draws, times * draws.std(), 0.95)
    assert interval.high - interval.low == pytest.approx(stretch * (plain.high - plain.low))


def test_the_issues_interval_contains_its_estimate() -> None:
    draws = np.random.default_rng(0).normal(18.07, 0.275, 20_000)
    low, high = np.quantile(draws, [0.025, 0.975])
    assert (low, high) == pytest.approx((17.53, 18.61), abs=0.03)
    assert 2 * 17.5 - low < 17.5, "the basic interval leaves the estimate out on the other side"
    interval = centred_interval(17.5, draws, NAN, 0.95)
    assert (interval.low, interval.high) == pytest.approx((16.96, 18.04), abs=0.03)


@given(
    measured=st.floats(0, 100), draws=VALUES, error=st.floats(0, 50) | st.just(NAN), confidence=st.floats(0.01, 0.99)
)
def test_an_interval_contains_what_was_measured(
    measured: float, draws: list[float], error: float, confidence: float
) -> None:
    interval = centred_interval(measured, np.array(draws), error, confidence)
    assert interval.low <= measured <= interval.high


@given(measured=st.floats(-100, 100), draws=VALUES, error=st.floats(0, 50) | st.just(NAN))
def test_the_other_way_round_it_is_the_interval_mirrored(measured: float, draws: list[float], error: float) -> None:
    one = centred_interval(measured, np.array(draws), error, 0.95)
    other = centred_interval(-measured, -np.array(draws), error, 0.95)
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), abs=1e-6)


@pytest.mark.parametrize("draws", [[], [NAN], [3.0], [3.0, 3.0, NAN]])
def test_nothing_drawn_or_all_equal_is_a_point(draws: list[float]) -> None:
    interval = centred_interval(2, np.array(draws), 1.0, 0.95)
    assert (interval.low, interval.high) == (2, 2)


def test_for_a_mean_it_is_scipys_percentile_interval_moved() -> None:
    """A mean has no bias and one standard error, so bootstrap, jackknife and closed form agree."""
    values = np.random.default_rng(1).gamma(2, 10, 400)
    draws = draw_images(400, 4000, 0) @ values / 400
    left = leave_groups_out(400, 0)
    error = jackknife_error(left @ values / left.sum(axis=1), float(values.mean()), 400)
    assert error == pytest.approx(stats.sem(values), rel=0.15)
    interval = centred_interval(float(values.mean()), draws, NAN, 0.95)
    reference = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=0).confidence_interval
    assert (interval.low, interval.high) == pytest.approx((reference.low, reference.high), abs=0.15)


@pytest.mark.parametrize("images", [2, 7, 50])
def test_one_image_a_group_is_the_standard_error_of_a_mean(images: int) -> None:
    values = np.random.default_rng(0).normal(50, 10, images)
    left = leave_groups_out(images, 3)
    assert jackknife_error(left @ values / (images - 1), float(values.mean()), images) == pytest.approx(
        stats.sem(values)
    )


def test_equal_groups_give_the_textbooks_formula() -> None:
    left_out, groups = np.array([3.0, 4, 6, 9]), 4
    expected = np.sqrt((groups - 1) / groups * ((left_out - left_out.mean()) ** 2).sum())
    assert jackknife_error(left_out, 5.0, 40) == pytest.approx(expected)


def test_groups_of_unequal_size_are_weighted_by_hand() -> None:
    # Images 0, 1 | 2 with the mean of 1, 3, 8: without the first group 8, without the second 2.
    h = np.array([3 / 2, 3])
    pseudo = h * 4 - (h - 1) * np.array([8.0, 2.0])
    mean = 2 * 4 - (1 / 3 * 8 + 2 / 3 * 2)
    expected = np.sqrt(((pseudo - mean) ** 2 / (h - 1)).mean())
    assert jackknife_error(np.array([8.0, 2.0]), 4.0, 3) == pytest.approx(expected)


def test_nothing_is_known_where_a_group_holds_every_box() -> None:
    assert np.isnan(jackknife_error(np.array([NAN, 3.0]), 3.0, 10))
    assert np.isnan(jackknife_error(np.array([NAN]), 3.0, 1))


@pytest.mark.parametrize("images", [1, 2, 49, 50, 51, 99, 400])
def test_every_image_is_left_out_once_in_groups_of_like_size(images: int) -> None:
    left = leave_groups_out(images, 0)
    assert left.shape == (min(images, 50), images)
    np.testing.assert_array_equal((1 - left).sum(axis=0), 1)
    sizes = images - left.sum(axis=1)
    assert list(sizes) == sorted(sizes, reverse=True)
    assert sizes.max() - sizes.min() <= 1
    if images > 50:
        assert not np.array_equal(left, leave_groups_out(images, 1))
