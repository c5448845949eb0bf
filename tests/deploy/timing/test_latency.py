import tracemalloc
from collections.abc import Callable
from itertools import chain, count, repeat
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deploy
from deploy.runtime.backends import DeviceTimes
from deploy.runtime.detector import PhaseTimes
from deploy.timing import latency
from deploy.timing.latency import Plan, Samples, measure, summarise, warm_up

PHASES = ("preprocessing", "host_to_device", "inference", "device_to_host", "postprocessing")
milliseconds = st.floats(1e-3, 1e4)
phases = st.builds(PhaseTimes, milliseconds, milliseconds, milliseconds, milliseconds, milliseconds)
PLAN = Plan(warmup=2, warmup_limit=4, stable_within=0.05, iterations=3, seconds=10, noise_limit=0.2)


@given(samples=st.lists(phases, min_size=1, max_size=60))
def test_summary_equals_numpy(samples: list[PhaseTimes]) -> None:
    summary = summarise(Samples(samples), batch_size=4, warmup_calls=6, noise_limit=0.2, decoding=1.5)
    totals = [sum(getattr(sample, phase) for phase in PHASES) for sample in samples]
    for name, level in (("p50", 50), ("p90", 90), ("p95", 95), ("p99", 99)):
        assert getattr(summary, name) == pytest.approx(np.percentile(totals, level))
    assert summary.mean == pytest.approx(fmean(totals))
    assert sum(getattr(summary, phase) for phase in PHASES) == pytest.approx(summary.mean)
    assert summary.images_per_second == pytest.approx(4000 / fmean(totals))
    quartiles = np.percentile(totals, 75) - np.percentile(totals, 25)
    assert summary.spread == pytest.approx(quartiles / np.median(totals))
    assert summary.noisy == (summary.spread > 0.2)
    assert (summary.calls, summary.batch_size, summary.warmup_calls, summary.decoding) == (len(samples), 4, 6, 1.5)


def test_known_numbers() -> None:
    samples = [PhaseTimes(1.0, float(i), 0.5) for i in range(1, 102)]
    summary = summarise(Samples(samples), batch_size=1, warmup_calls=0, noise_limit=1)
    assert (summary.p50, summary.p90, summary.p95, summary.p99) == (52.5, 92.5, 97.5, 101.5)
    assert (summary.preprocessing, summary.inference, summary.postprocessing) == (1.0, 51.0, 0.5)
    assert summary.spread == pytest.approx(50 / 52.5)
    assert not summary.noisy
    assert (summary.p90_bound, summary.p99_bound) == (100.5, None), "the 3rd highest of 101; p99 needs 662"


def test_seconds_of_a_clock_become_milliseconds() -> None:
    times = PhaseTimes.between(10.0, 10.001, 10.011, 10.0115)
    assert (times.preprocessing, times.inference, times.postprocessing) == pytest.approx((1.0, 10.0, 0.5))
    assert times.total == pytest.approx(11.5)
    assert times.device_inference is None


def test_copies_are_told_apart_from_inference_and_all_phases_add_up() -> None:
    times = PhaseTimes.between(10.0, 10.001, 10.011, 10.0115, DeviceTimes(1.5, 6.0, 0.5))
    assert (times.host_to_device, times.inference, times.device_to_host) == pytest.approx((1.5, 8.0, 0.5))
    assert times.device_inference == 6.0
    assert times.total == pytest.approx(11.5)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="no measured calls"):
        summarise(Samples(), batch_size=1, warmup_calls=0, noise_limit=0.2)


@pytest.mark.parametrize(
    ("times", "taken"),
    [
        ([5.0] * 9, 4),  # equal windows: warm after two
        ([9.0, 9, 5, 5, 5, 5, 5], 6),  # faster once, then equal
        ([9.0, 9, 8.7, 8.7, 1, 1], 4),  # 3 % faster is equal
        ([5.0, 5, 8, 8, 1, 1], 4),  # slower: no reason to wait
        ([9.0, 8, 7, 6, 5, 4, 3, 2, 1], 7),  # still getting faster at the limit
    ],
)
def test_warm_up_ends_when_calls_get_no_faster(times: list[float], taken: int) -> None:
    plan = Plan(warmup=2, warmup_limit=7, stable_within=0.05, iterations=1, seconds=1, noise_limit=1)
    assert warm_up(iter(times), plan) == taken


@given(times=st.lists(milliseconds, min_size=40, max_size=40), window=st.integers(1, 9), limit=st.integers(1, 40))
def test_warm_up_never_passes_its_limit(times: list[float], window: int, limit: int) -> None:
    plan = Plan(warmup=window, warmup_limit=limit, stable_within=0.05, iterations=1, seconds=1, noise_limit=1)
    assert min(limit, 2 * window) <= warm_up(iter(times), plan) <= limit


class Recording:
    """A detector that takes as long as it is told and remembers what it was given."""

    def __init__(self, times: Callable[[], float]) -> None:
        self.times = times
        self.seen: list[list[int]] = []

    def timed(self, images: list[np.ndarray]) -> tuple[list[object], PhaseTimes]:
        self.seen.append([int(image[0, 0, 0]) for image in images])
        return [], PhaseTimes(0.0, self.times(), 0.0)


def pictures(count: int) -> list[np.ndarray]:
    return [np.full((4, 4, 3), number, np.uint8) for number in range(count)]


def test_measure_warms_up_and_goes_round_the_images() -> None:
    ticks = chain([9.0, 9.0, 5.0, 5.0], repeat(5.0))
    detector, steps = Recording(lambda: next(ticks)), []
    summary = measure(detector, pictures(3), 2, PLAN, decoding=0.25, step=lambda: steps.append(None))  # type: ignore[arg-type]
    assert detector.seen == [[0, 1], [2, 0], [1, 2], [0, 1], [2, 0], [1, 2], [0, 1]]
    assert (len(steps), summary.warmup_calls, summary.calls, summary.batch_size) == (7, 4, 3, 2)
    assert (summary.p50, summary.decoding) == (5.0, 0.5)


def test_time_ends_a_measurement_but_not_before_ten_calls() -> None:
    plan = Plan(warmup=1, warmup_limit=2, stable_within=0, iterations=100, seconds=1e-9, noise_limit=1)
    assert measure(Recording(lambda: 1.0), pictures(1), 1, plan).calls == 10  # type: ignore[arg-type]


def test_mlperf_measures_single_images_for_600_seconds_and_64_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(step=20.0)
    monkeypatch.setattr(latency, "perf_counter", lambda: next(clock))
    plan = Plan(warmup=1, warmup_limit=2, stable_within=0, iterations=5, seconds=1, noise_limit=1, plan="mlperf")

    def calls(batch_size: int) -> int:
        return measure(Recording(lambda: 1.0), pictures(1), batch_size, plan).calls  # type: ignore[arg-type]

    assert calls(1) == 64, "1,280 s of 20 s each: fewer say nothing"
    clock = count(step=1.0)
    assert calls(1) == 599, "and 600 s have passed"
    assert calls(2) == 5


def test_a_long_measurement_takes_little_memory() -> None:
    one = PhaseTimes(1.0, 2.0, 3.0)
    tracemalloc.start()
    samples = Samples()
    for _ in range(50_000):
        samples.add(one)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(samples) == 50_000
    assert size < 50_000 * 50
    assert set(samples.totals) == {6.0}


def test_a_real_detector_is_measured(artefact, red_box) -> None:
    detector = deploy.load(artefact, "onnxruntime", threads=1)
    summary = measure(detector, [red_box(32, 48, (0, 0, 5, 5))], 2, PLAN)
    assert 0 < summary.p50 <= summary.p90 <= summary.p95 <= summary.p99
    assert summary.inference > 0
    assert summary.host_to_device == summary.device_to_host == 0


def test_measure_needs_images(artefact) -> None:
    with pytest.raises(ValueError, match="real images, got none"):
        measure(deploy.load(artefact, "onnxruntime", threads=1), [], 1, PLAN)
