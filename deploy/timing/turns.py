"""Speeds compared fairly: contenders take turns in one run, so that a machine that slows down slows all of them."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median, quantiles
from time import perf_counter
from typing import TypeVar

import numpy as np

Name = TypeVar("Name", bound=Hashable)

_LEAST_ROUNDS = 3
"""Fewer have no spread to speak of, however long they take."""
_WARM_UP_CALLS = 2
_WARM_UP_SECONDS = 0.25
"""Filling caches again takes milliseconds: nothing to a call that is longer than this."""


@dataclass(frozen=True)
class Schedule:
    """How long contenders take turns.

    Attributes:
        rounds: turns of each contender, at most.
        calls: measured calls in a turn, at most.
        seconds: for all turns of all contenders. Calls become fewer first, to one in a turn; then no further round
            begins, once there are three.
    """

    rounds: int
    calls: int
    seconds: float = inf

    def seconds_of(self, contenders: int) -> float:
        """What so many contenders may take in one of the rounds, were they all."""
        return self.seconds / self.rounds / contenders


@dataclass(frozen=True)
class Turn:
    """Calls of a contender whenever it is its turn: ``warmup`` calls are thrown away, as caches are another's."""

    warmup: int
    calls: int


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as the reference: median over the rounds, and its quartiles (the spread)."""

    median: float
    low: float
    high: float


def turn_of(call_seconds: float, most_calls: int, seconds: float) -> Turn:
    """As many calls of ``call_seconds`` as fit into ``seconds`` with their warm-up: one at least."""
    warmup = min(_WARM_UP_CALLS, int(_WARM_UP_SECONDS / call_seconds))
    if seconds == inf:
        return Turn(warmup, most_calls)
    return Turn(warmup, max(1, min(most_calls, int(seconds / call_seconds) - warmup)))


def take_turns(
    contenders: Mapping[Name, Callable[[int], float]],
    turns: Mapping[Name, Turn],
    rounds: int,
    seconds: float = inf,
    step: Callable[[], object] = lambda: None,
) -> dict[Name, list[float]]:
    """Median time of a call by contender and round, in the contender's own unit.

    Args:
        contenders: each takes the number of a call and returns the time that it took. The first measured call of a
            turn has the number of the round, warm-up has those before it.
        turns: the calls of each.
        seconds: no round begins after this time, from three on.
        step: called after every turn.
    """
    medians: dict[Name, list[float]] = {name: [] for name in contenders}
    began = perf_counter()
    for number, order in enumerate(orders(list(contenders), rounds)):
        if number >= _LEAST_ROUNDS and perf_counter() - began >= seconds:
            break
        for name in order:
            turn = turns[name]
            times = [contenders[name](number + call) for call in range(-turn.warmup, turn.calls)]
            medians[name].append(median(times[turn.warmup :]))
            step()
    return medians


def orders(names: Sequence[Name], rounds: int) -> Iterator[list[Name]]:
    """Who follows whom in each round: by chance (always the same), and every other round the one before backwards.

    A machine that slows down steadily then slows all alike, and none always finds the same one's caches.
    """
    random = np.random.default_rng(0)
    order = list(names)
    for number in range(rounds):
        if number % 2:
            yield order[::-1]
            order = [names[place] for place in random.permutation(len(names))]
        else:
            yield order


def times_as_fast(contender: Sequence[float], reference: Sequence[float]) -> Ratio:
    """Compare times of the same rounds, at least one."""
    ratios = [of_reference / own for own, of_reference in zip(contender, reference, strict=True)]
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    return Ratio(middle, low, high)
