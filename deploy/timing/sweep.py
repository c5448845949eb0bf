"""Latency over batch sizes, the smallest first, until one takes too long or too much memory."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Literal

from deploy.runtime.detector import Detector
from deploy.runtime.errors import BatchOutsideProfiles
from deploy.runtime.images import Image
from deploy.runtime.measurements import Latency
from deploy.runtime.resources import memory_left
from deploy.timing.gpu_monitor import GpuMonitor
from deploy.timing.latency import Plan, measure
from deploy.timing.memory import peak_memory

# What must stay free, so that measuring one batch size too many does not push the machine into swapping.
_RESERVE = 0.1

End = Literal["complete", "time", "memory", "profiles"]
"""Why no larger batch was measured."""

Progress = Callable[[int], AbstractContextManager[Callable[[], object]]]


@dataclass(frozen=True)
class Sweep:
    """Latency by batch size, the smallest first; ``reason`` says why larger ones are missing, if they are."""

    latency: tuple[Latency, ...]
    end: End
    reason: str


def sweep(
    detector: Detector,
    images: Sequence[Image],
    batch_sizes: Sequence[int],
    plan: Plan,
    max_call_ms: float | None,
    decoding: float,
    progress: Progress,
    monitor: GpuMonitor | None = None,
) -> Sweep:
    """Measure one batch size after the other.

    Args:
        images: decoded BGR images.
        max_call_ms: once the median call takes longer, no larger batch is measured; None: every one is.
        decoding: milliseconds for one image file.
        progress: opened for each batch size; gives what is called after every call.
        monitor: watches the GPU that the detector runs on.

    Raises:
        ArtefactError: the smallest batch fails, or a larger one for another reason than memory or its size.
    """
    found: list[Latency] = []
    before = peak_memory()
    sizes = sorted(set(batch_sizes))
    for place, batch_size in enumerate(sizes):
        if too_large := _too_large(found, batch_size, max_call_ms, peak_memory() - before):
            return Sweep(tuple(found), *too_large)
        try:
            with progress(batch_size) as step:
                found.append(_measured(detector, images, batch_size, plan, decoding, step, monitor))
        except Exception as error:
            if not place or not (refused := _refused(error, batch_size)):
                raise
            return Sweep(tuple(found), *refused)
    return Sweep(tuple(found), "complete", "")


def _measured(
    detector: Detector,
    images: Sequence[Image],
    batch_size: int,
    plan: Plan,
    decoding: float,
    step: Callable[[], object],
    monitor: GpuMonitor | None,
) -> Latency:
    if monitor is None:
        return measure(detector, images, batch_size, plan, decoding, step)
    with monitor.watch() as watched:
        summary = measure(detector, images, batch_size, plan, decoding, step)
    calls = summary.warmup_calls + summary.calls
    return replace(summary, gpu=watched.use(images=calls * batch_size))


def _too_large(
    found: Sequence[Latency], batch_size: int, max_call_ms: float | None, rise: int
) -> tuple[End, str] | None:
    """Why ``batch_size`` is not tried after those of ``found``, which raised the memory's peak by ``rise`` bytes."""
    if not found:
        return None
    last = found[-1]
    if max_call_ms is not None and last.p50 > max_call_ms:
        return "time", f"batch {last.batch_size} took {last.p50:.1f} ms, benchmark.max_call_ms is {max_call_ms:g}"
    needed = rise * batch_size / last.batch_size - rise
    if (free := memory_left()) is not None and needed > (1 - _RESERVE) * free:
        megabytes = f"about {needed / 1e6:,.0f} MB more, {free / 1e6:,.0f} MB are free"
        return "memory", f"batch {batch_size} would need {megabytes}"
    return None


def _refused(error: Exception, batch_size: int) -> tuple[End, str] | None:
    """What a backend says of a batch that it has no room for; None for any other error."""
    if isinstance(error, BatchOutsideProfiles):
        return "profiles", str(error)
    text = str(error).strip()
    lowered = text.lower()
    if isinstance(error, MemoryError) or "out of memory" in lowered or "failed to allocate memory" in lowered:
        said = text.splitlines()[0] if text else type(error).__name__
        return "memory", f"batch {batch_size} ran out of memory: {said}"
    return None
