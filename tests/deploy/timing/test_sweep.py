from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from deploy.runtime.detector import PhaseTimes
from deploy.runtime.errors import ArtefactError, BatchOutsideProfiles
from deploy.timing import sweep as sweeping
from deploy.timing.gpu_monitor import GpuMonitor
from deploy.timing.latency import Plan
from deploy.timing.sweep import Sweep, sweep
from tests.deploy.simulated_nvml import Nvml

PLAN = Plan(warmup=1, warmup_limit=2, stable_within=0.05, iterations=2, seconds=10, noise_limit=0.2)
IMAGES = [np.zeros((4, 4, 3), np.uint8)] * 3


class Simulated:
    """A detector that takes 10 ms an image, and may refuse a batch."""

    def __init__(self, refuse: Callable[[int], Exception | None] = lambda size: None) -> None:
        self.refuse = refuse

    def timed(self, images: list[np.ndarray]) -> tuple[list[object], PhaseTimes]:
        if error := self.refuse(len(images)):
            raise error
        return [], PhaseTimes(0.0, 10.0 * len(images), 0.0)


@contextmanager
def quiet(batch_size: int) -> Iterator[Callable[[], object]]:
    del batch_size
    yield lambda: None


def run(detector: Any, sizes: list[int], max_call_ms: float | None = None, monitor: GpuMonitor | None = None) -> Sweep:
    return sweep(detector, IMAGES, sizes, PLAN, max_call_ms, decoding=0.5, progress=quiet, monitor=monitor)


def sizes_of(found: Sweep) -> list[int]:
    return [entry.batch_size for entry in found.latency]


def test_sizes_are_measured_once_each_from_the_smallest_up() -> None:
    found = run(Simulated(), [8, 1, 2, 8])
    assert sizes_of(found) == [1, 2, 8]
    assert [entry.p50 for entry in found.latency] == [10, 20, 80]
    assert [entry.decoding for entry in found.latency] == [0.5, 1, 4]
    assert [entry.gpu for entry in found.latency] == [None] * 3
    assert (found.end, found.reason) == ("complete", "")


def test_a_call_that_takes_too_long_is_the_last() -> None:
    found = run(Simulated(), [1, 2, 4, 8, 16], max_call_ms=39)
    assert sizes_of(found) == [1, 2, 4]
    assert (found.end, found.reason) == ("time", "batch 4 took 40.0 ms, benchmark.max_call_ms is 39")


def test_a_batch_that_memory_has_no_room_for_is_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    # 100 bytes before, 1,000 more after the batch of 4: 8 would need 1,000 beyond that.
    peaks = iter([100, 100, 1100])
    monkeypatch.setattr(sweeping, "peak_memory", lambda: next(peaks))
    monkeypatch.setattr(sweeping, "memory_left", lambda: 1050)
    found = run(Simulated(), [4, 8])
    assert sizes_of(found) == [4]
    assert found.end == "memory"
    assert found.reason.startswith("batch 8 would need about 0 MB more")


@pytest.mark.parametrize(
    ("error", "end", "reason"),
    [
        (MemoryError(), "memory", "batch 4 ran out of memory: MemoryError"),
        (RuntimeError("CUDA error: out of memory\nmore"), "memory", "ran out of memory: CUDA error: out of memory"),
        (RuntimeError("Failed to allocate memory for requested buffer of size 1"), "memory", "Failed to allocate"),
        (BatchOutsideProfiles("x.engine: a batch of 4"), "profiles", "x.engine: a batch of 4"),
    ],
)
def test_a_refused_batch_ends_the_sweep_and_keeps_the_others(error: Exception, end: str, reason: str) -> None:
    found = run(Simulated(lambda size: error if size >= 4 else None), [1, 2, 4, 8])
    assert sizes_of(found) == [1, 2]
    assert found.end == end
    assert reason in found.reason


def test_other_errors_are_not_hidden() -> None:
    with pytest.raises(ArtefactError, match="broken"):
        run(Simulated(lambda size: ArtefactError("broken") if size > 1 else None), [1, 2])


def test_the_smallest_batch_must_run() -> None:
    with pytest.raises(MemoryError):
        run(Simulated(lambda size: MemoryError()), [1, 2])


def test_the_gpu_is_watched_for_every_batch_size() -> None:
    found = run(Simulated(), [1, 4], monitor=GpuMonitor(Nvml(), "0000:65:00.0"))  # type: ignore[arg-type]
    first, second = (entry.gpu for entry in found.latency)
    assert first.memory_bytes == second.memory_bytes == 3 << 30
    # One joule a look at the counter, over four calls (two of them warm-up) of one and of four images.
    assert (first.energy_per_image_j, second.energy_per_image_j) == (1 / 4, 1 / 16)
