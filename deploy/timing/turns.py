"""Speeds compared fairly: contenders take turns in one run, so that a machine that slows down slows all of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the reference: median over the rounds, and its quartiles (the spread)."""

    median: float
    low: float
    high: float


def take_turns(
    contenders: Mapping[str, Callable[[int], float]],
    rounds: int,
    calls: int,
    warmup: int,
    step: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Median time of a call by contender and round, in the contender's own unit.

    Every other round goes through the contenders backwards, so that none always follows the same one.

    Args:
        contenders: each takes the number of the call in its turn and returns the time that it took.
        calls: measured calls of a turn.
        warmup: calls before them that are thrown away: caches are the previous contender's.
        step: called after every turn.
    """
    medians: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in list(contenders)[:: -1 if number % 2 else 1]:
            times = [contenders[name](call) for call in range(warmup + calls)]
            medians[name].append(median(times[warmup:]))
            step()
    return medians


def times_as_fast(contender: Sequence[float], reference: Sequence[float]) -> Ratio:
    """Compare times of the same rounds, at least one."""
    ratios = [of_reference / own for own, of_reference in zip(contender, reference, strict=True)]
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    return Ratio(middle, low, high)
