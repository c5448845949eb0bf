"""The simulated splits and the intervals that are compared on them."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.interval_coverage import METHODS, Sample, coverage, main, measured_ap, simulate
from benchmarks.simulated_matches import Population, draw_split

SMALL = Population("small", classes=3, skew=1, boxes=3, clumps=0.5, false=2, models=(1.0, 0.6))


def sample(measured: float, draws: list[float]) -> Sample:
    return Sample(measured, np.array(draws), np.array([measured]), float("nan"), (0.0, 0.0))


@pytest.fixture(scope="module")
def mean() -> tuple[np.ndarray, Sample]:
    """Values, and what the bootstrap and the jackknife say of their mean."""
    values = np.random.default_rng(0).gamma(1, 10, 40)
    draws = np.random.default_rng(1).choice(values, (20_000, 40)).mean(axis=1)
    left_out = (values.sum() - values) / 39
    return values, Sample(float(values.mean()), draws, left_out, float(stats.sem(values)), (0.0, 0.0))


@pytest.mark.parametrize(("method", "name"), [("percentile", "percentile"), ("basic", "basic"), ("BCa", "BCa")])
def test_the_intervals_are_scipys(mean: tuple[np.ndarray, Sample], method: str, name: str) -> None:
    values, found = mean
    reference = stats.bootstrap((values,), np.mean, n_resamples=20_000, method=name, rng=1).confidence_interval
    assert METHODS[method](found) == pytest.approx((reference.low, reference.high), abs=0.15)


def test_the_jackknife_of_a_mean_is_students_interval(mean: tuple[np.ndarray, Sample]) -> None:
    values, found = mean
    reference = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert METHODS["jackknife t"](found) == pytest.approx((reference.low, reference.high))


def test_without_a_bias_bc_is_the_percentile_interval_and_so_is_the_centred_one() -> None:
    found = sample(50, list(np.arange(101.0)))
    for method in ("percentile", "basic", "BC", "centred"):
        assert METHODS[method](found) == pytest.approx((2.5, 97.5))


def test_coverage_counts_what_lies_inside() -> None:
    samples = [sample(value, [value - 1, value, value + 1]) for value in (0.0, 1, 2, 9)]
    found = coverage(samples, lambda item: (item.measured - 1.5, item.measured - 0.5), true=0.0)
    # The mean of the estimates is 3, and no interval reaches it.
    assert (found.mean, found.true, found.size, found.width, found.outside) == (3, 0.25, 0, 1, 1)


def test_splits_follow_their_population() -> None:
    one, other = draw_split(SMALL, 4000, np.random.default_rng(0))
    boxes = [matches.boxes.sum() / 4000 for matches in one]
    assert boxes == pytest.approx([3 * share / (11 / 6) for share in (1, 1 / 2, 1 / 3)], rel=0.1)
    assert sum(map(len, (matches.score for matches in one))) == pytest.approx(4000 * 5, rel=0.05)
    assert all((np.diff(matches.score) <= 0).all() for matches in one)
    assert all((matches.matched[1:] <= matches.matched[:-1]).all() for matches in one), "a stricter IoU finds no more"
    assert measured_ap(one) > measured_ap(other)
    assert [matches.boxes.tolist() for matches in one] == [matches.boxes.tolist() for matches in other]


def test_pairs_move_together_and_the_shipped_interval_holds_its_estimate() -> None:
    samples = simulate(SMALL, 60, splits=12, resamples=60, random=np.random.default_rng(0))
    for found in (*samples["AP"], *samples["difference"]):
        assert found.shipped[0] <= found.measured <= found.shipped[1]
    assert np.mean([np.std(item.draws) for item in samples["difference"]]) < np.mean(
        [np.std(item.draws) for item in samples["AP"]]
    )


def test_the_table_has_a_row_for_every_method(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.interval_coverage._TRUTH_IMAGES", 500)
    main(["--populations", "even", "--images", "20", "--splits", "2", "--resamples", "20"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 20 |")]
    assert [row.split(" | ")[1:4:2] for row in rows] == [
        [name, method] for name in ("AP", "difference") for method in METHODS
    ]
