"""Latency of a detector at one batch size: warm-up until stable, measured calls, percentiles, and their spread."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.detector import Detector, PhaseTimes
from deploy.runtime.images import Image
from deploy.runtime.measurements import Latency
from deploy.timing.early_stopping import upper_bound

LATENCY_IMAGES = 32
"""Distinct images to measure on: enough variety of content, little enough to keep decoded in memory."""
_LEAST_CALLS = 10
"""Fewer tell nothing of the spread, however long they take."""
_SINGLE_STREAM_CALLS = 64
_SINGLE_STREAM_SECONDS = 600.0
_PHASES = ("preprocessing", "host_to_device", "inference", "device_to_host", "postprocessing")


@dataclass(frozen=True)
class Plan:
    """How long one batch size is measured.

    Attributes:
        warmup: calls in a window of the warm-up; windows go on until one is no longer faster than the one before.
        warmup_limit: most calls of the warm-up.
        stable_within: share of the time by which a window must be faster than the one before to count as faster.
        iterations: most measured calls.
        seconds: no call is started after this time, once there are ten.
        noise_limit: a spread above it marks the measurement as noisy.
        plan: ``mlperf`` measures single images as MLPerf's scenario SingleStream does: for 600 s, and 64 calls at
            least, whatever ``iterations`` and ``seconds`` say of larger batches.
    """

    warmup: int
    warmup_limit: int
    stable_within: float
    iterations: int
    seconds: float
    noise_limit: float
    plan: Literal["calls", "mlperf"] = "calls"

    def is_enough(self, batch_size: int, calls: int, seconds: float) -> bool:
        """Whether so many calls that took so long are a measurement of this batch size."""
        if self.plan == "mlperf" and batch_size == 1:
            return calls >= _SINGLE_STREAM_CALLS and seconds >= _SINGLE_STREAM_SECONDS
        return calls >= self.iterations or (calls >= _LEAST_CALLS and seconds >= self.seconds)


class Samples:
    """Milliseconds of the phases of calls: 40 bytes each, so that a long measurement is no part of its own peak."""

    def __init__(self, calls: Sequence[PhaseTimes] = ()) -> None:
        self._phases = {name: array("d") for name in _PHASES}
        for call in calls:
            self.add(call)

    def __len__(self) -> int:
        return len(self._phases["inference"])

    def add(self, call: PhaseTimes) -> None:
        """One call more."""
        for name, times in self._phases.items():
            times.append(getattr(call, name))

    @property
    def totals(self) -> NDArray[np.float64]:
        """Of every call."""
        return np.sum([np.frombuffer(times) for times in self._phases.values()], axis=0)

    def mean(self, phase: str) -> float:
        """Of one phase."""
        return float(np.mean(self._phases[phase]))


def summarise(
    samples: Samples, batch_size: int, warmup_calls: int, noise_limit: float, decoding: float = 0.0
) -> Latency:
    """Percentiles (linear interpolation between ranks) and means of measured calls; at least one is needed.

    Args:
        decoding: milliseconds for the files of one batch.
    """
    if not samples:
        raise ValueError("no measured calls to summarise")
    totals = samples.totals
    p25, p50, p75, p90, p95, p99 = (float(value) for value in np.percentile(totals, [25, 50, 75, 90, 95, 99]))
    mean = float(totals.mean())
    spread = (p75 - p25) / p50

    return Latency(
        batch_size=batch_size,
        warmup_calls=warmup_calls,
        calls=len(samples),
        p50=p50,
        p90=p90,
        p95=p95,
        p99=p99,
        p90_bound=upper_bound(totals, 0.9),
        p99_bound=upper_bound(totals, 0.99),
        mean=mean,
        spread=spread,
        noisy=spread > noise_limit,
        decoding=decoding,
        **{name: samples.mean(name) for name in _PHASES},
        images_per_second=1e3 * batch_size / mean,
        gpu=None,
    )


def measure(
    detector: Detector,
    images: Sequence[Image],
    batch_size: int,
    plan: Plan,
    decoding: float = 0.0,
    step: Callable[[], object] = lambda: None,
) -> Latency:
    """Warm up until the calls get no faster, then measure.

    Args:
        images: decoded BGR images; the calls go round them in order.
        decoding: milliseconds for one image file.
        step: called after every call, outside the measured time (a progress bar).
    """
    calls = _calls(detector, images, batch_size, step)
    warmup_calls = warm_up((sample.total for sample in calls), plan)
    samples = Samples()
    start = perf_counter()
    while not plan.is_enough(batch_size, len(samples), perf_counter() - start):
        samples.add(next(calls))
    return summarise(samples, batch_size, warmup_calls, plan.noise_limit, batch_size * decoding)


def warm_up(milliseconds: Iterator[float], plan: Plan) -> int:
    """Take calls until a window of them is no longer faster than the one before; returns how many were taken.

    A window that is slower ends the warm-up too: caches, thread pools and clocks that still settle make calls faster,
    and what makes them slower does not pass by waiting.
    """
    before, taken = float("inf"), 0
    while taken < plan.warmup_limit:
        window = list(islice(milliseconds, min(plan.warmup, plan.warmup_limit - taken)))
        taken += len(window)
        if (now := median(window)) >= (1 - plan.stable_within) * before:
            break
        before = now
    return taken


def _calls(
    detector: Detector, images: Sequence[Image], batch_size: int, step: Callable[[], object]
) -> Iterator[PhaseTimes]:
    for batch in _batches(images, batch_size):
        _, times = detector.timed(batch)
        step()
        yield times


def _batches(images: Sequence[Image], batch_size: int) -> Iterator[list[Image]]:
    if not images:
        raise ValueError("latency is measured on real images, got none")
    endless = cycle(images)
    while True:
        yield list(islice(endless, batch_size))
