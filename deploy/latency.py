"""Latency of a detector: warm-up, measured calls, percentiles."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from deploy.images import Image
from deploy.session import Detector, PhaseTimes


@dataclass(frozen=True)
class LatencySummary:
    """Latency of one call with ``batch_size`` images, in milliseconds.

    ``p50``, ``p90``, ``p99`` and ``mean`` are end to end. The phases are means, so that they add up to ``mean``.
    Throughput is ``batch_size`` over the mean.
    """

    batch_size: int
    calls: int
    p50: float
    p90: float
    p99: float
    mean: float
    preprocessing: float
    inference: float
    postprocessing: float
    images_per_second: float


def summarise(samples: Sequence[PhaseTimes], batch_size: int) -> LatencySummary:
    """Percentiles (linear interpolation between ranks) and means of measured calls; at least one is needed."""
    if not samples:
        raise ValueError("no measured calls to summarise")
    totals = np.array([sample.total for sample in samples])
    p50, p90, p99 = np.percentile(totals, [50, 90, 99])
    mean = float(totals.mean())
    return LatencySummary(
        batch_size=batch_size,
        calls=len(samples),
        p50=float(p50),
        p90=float(p90),
        p99=float(p99),
        mean=mean,
        preprocessing=float(np.mean([sample.preprocessing for sample in samples])),
        inference=float(np.mean([sample.inference for sample in samples])),
        postprocessing=float(np.mean([sample.postprocessing for sample in samples])),
        images_per_second=1e3 * batch_size / mean,
    )


def measure(
    detector: Detector,
    images: Sequence[Image],
    batch_size: int,
    warmup: int,
    iterations: int,
    step: Callable[[], object] = lambda: None,
) -> LatencySummary:
    """Run ``warmup`` calls that are thrown away, then ``iterations`` measured ones.

    Args:
        images: decoded BGR images; the calls go round them in order.
        step: called after every call, outside the measured time (a progress bar).
    """
    batches = _batches(images, batch_size)
    samples = []
    for call in range(warmup + iterations):
        _, times = detector.timed(next(batches))
        if call >= warmup:
            samples.append(times)
        step()
    return summarise(samples, batch_size)


def _batches(images: Sequence[Image], batch_size: int) -> Iterator[list[Image]]:
    if not images:
        raise ValueError("latency is measured on real images, got none")
    endless = cycle(images)
    while True:
        yield list(islice(endless, batch_size))
