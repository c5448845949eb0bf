from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deploy
from deploy.latency import measure, summarise
from deploy.session import PhaseTimes

milliseconds = st.floats(1e-3, 1e4)


@given(samples=st.lists(st.builds(PhaseTimes, milliseconds, milliseconds, milliseconds), min_size=1, max_size=60))
def test_summary_equals_numpy(samples: list[PhaseTimes]) -> None:
    summary = summarise(samples, batch_size=4)
    totals = [s.preprocessing + s.inference + s.postprocessing for s in samples]
    for name, level in (("p50", 50), ("p90", 90), ("p99", 99)):
        assert getattr(summary, name) == pytest.approx(np.percentile(totals, level))
    assert summary.mean == pytest.approx(fmean(totals))
    assert summary.preprocessing + summary.inference + summary.postprocessing == pytest.approx(summary.mean)
    assert summary.images_per_second == pytest.approx(4000 / fmean(totals))
    assert (summary.calls, summary.batch_size) == (len(samples), 4)


def test_known_numbers() -> None:
    samples = [PhaseTimes(1.0, float(i), 0.5) for i in range(1, 102)]
    summary = summarise(samples, batch_size=1)
    assert (summary.p50, summary.p90, summary.p99) == (52.5, 92.5, 101.5)
    assert (summary.preprocessing, summary.inference, summary.postprocessing) == (1.0, 51.0, 0.5)


def test_seconds_of_a_clock_become_milliseconds() -> None:
    times = PhaseTimes.between(10.0, 10.001, 10.011, 10.0115)
    assert (times.preprocessing, times.inference, times.postprocessing) == pytest.approx((1.0, 10.0, 0.5))
    assert times.total == pytest.approx(11.5)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="no measured calls"):
        summarise([], batch_size=1)


def test_measure_runs_warm_up_and_goes_round_the_images(artefact, red_box) -> None:
    seen: list[tuple[int, ...]] = []

    class Recording:
        def __init__(self, backend) -> None:
            self._backend = backend

        def run(self, images: np.ndarray):
            seen.append(tuple(int(image[..., 2].astype(bool).sum()) for image in images))
            return self._backend.run(images)

    detector = deploy.load(artefact, "onnxruntime", threads=1)
    detector.backend = Recording(detector.backend)
    images = [red_box(32, 48, (0, 0, side, 1)) for side in (1, 2, 3)]
    steps: list[None] = []
    summary = measure(detector, images, batch_size=2, warmup=2, iterations=3, step=lambda: steps.append(None))
    assert seen == [(1, 2), (3, 1), (2, 3), (1, 2), (3, 1)]
    assert (len(steps), summary.calls, summary.batch_size) == (5, 3, 2)
    assert 0 < summary.p50 <= summary.p90 <= summary.p99
    assert summary.inference > 0


def test_measure_needs_images(artefact) -> None:
    with pytest.raises(ValueError, match="real images, got none"):
        measure(deploy.load(artefact, "onnxruntime", threads=1), [], 1, 1, 1)
