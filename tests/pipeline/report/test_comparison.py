import pytest

from pipeline.errors import PipelineError
from pipeline.report.comparison import Gain, fastest, gain, ratio, reference_batch, share
from tests.pipeline.report.variants import model_of, with_draws, with_numbers


def _gain(results):
    return gain(model_of(results, "crosskd"), model_of(results, "twin"))


def test_gain_is_the_difference_of_the_aps_with_the_interval_of_the_paired_draws(results):
    results = with_numbers(with_numbers(results, "twin", ap=50.0), "crosskd", ap=52.5)
    results = with_draws(results, "twin", [50.0, 40.0, 60.0])
    results = with_draws(results, "crosskd", [51.0, 43.0, 62.0])
    found = _gain(results)
    assert found.points == 2.5
    # The draws differ by 1, 3 and 2: unpaired, their ranges would overlap widely.
    assert found.low == pytest.approx(2.5 - 0.95)
    assert found.high == pytest.approx(2.5 + 0.95)
    assert found.confidence == 0.95
    assert found.verdict == "better"


def test_gain_without_bootstrap_has_no_interval(results):
    found = _gain(with_draws(results, "twin", None))
    assert (found.low, found.high, found.confidence, found.verdict) == (None, None, None, "unknown")


def test_draws_that_do_not_belong_together_are_refused(results):
    with pytest.raises(PipelineError, match="cannot be paired"):
        _gain(with_draws(results, "twin", [1.0, 2.0]))


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.1, 2.0, "better"),
        (-2.0, -0.1, "worse"),
        (-0.1, 2.0, "unclear"),
        (0.0, 1.0, "unclear"),
        (-1.0, 0.0, "unclear"),
    ],
)
def test_verdict_needs_an_interval_that_excludes_zero(low, high, verdict):
    assert Gain(5.0, low, high, 0.95).verdict == verdict


def test_no_gain_without_baseline_for_the_baseline_for_the_teacher_or_for_a_null_ap(results):
    twin = model_of(results, "twin")
    assert gain(model_of(results, "crosskd"), None) is None
    assert gain(twin, twin) is None
    assert gain(results.teacher, twin) is None
    assert _gain(with_numbers(results, "crosskd", ap=None)) is None


def test_share_and_ratio(results):
    results = with_numbers(with_numbers(results, "teacher", ap=72.0), "crosskd", ap=54.0)
    assert share(model_of(results, "crosskd"), results.teacher) == 0.75
    assert ratio(1.0, 0.0) is None
    assert ratio(None, 2.0) is None
    assert ratio(1.0, None) is None
    assert ratio(3.0, 2.0) == 1.5


def test_fastest_backend_at_the_batch_size_in_its_own_run(results):
    found = fastest(model_of(results, "crosskd").benchmark, 1)
    assert found.run.backend == "openvino"
    assert found.latency.p50 == pytest.approx(0.7 * 6.2)
    assert fastest(model_of(results, "crosskd").benchmark, 3) is None
    assert fastest(None, 1) is None


def test_a_backend_that_did_not_run_has_no_latency(results):
    assert model_of(results, "crosskd").benchmark.runs[2].latency_at(1) is None


def test_reference_batch_is_the_smallest(results):
    assert reference_batch(results) == 1
