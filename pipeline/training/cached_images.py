"""Transforms that keep images of earlier calls (mmdet's ``CachedMosaic`` and ``CachedMixUp``), whoever calls them.

In mmdet each process that loads images has caches of its own, of what it has loaded before: results depend on how many
such processes there are, and a training that goes on after a kill begins with empty ones. Here it follows from the
number of a draw alone which earlier draws a cache holds, as though as many processes as there are streams had loaded
one each since the beginning. What should be there and is not, because another process has loaded it or it was loaded
before a kill, is made again, and is the same.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.training.draws import STREAMS, Draw, History, seeded, stream_of

_TURNOVERS = 20
"""How far back a full cache of random age is looked at: what is older is left with a chance of e^-20 an image."""

Numbers = NDArray[np.int64]
Step = Callable[[Any], Any]


def draws_in_cache(before: Numbers, capacity: int, random_pop: bool, salt: int) -> Numbers:
    """Which draws a cache holds, by the draws before.

    With ``random_pop`` each new one takes the place of a random other one, as in mmdet: the last one in each place is
    there, and a place that has none yet is filled with the newest of the rest.

    Args:
        before: numbers of earlier draws, which rise.
        capacity: of the cache.
        random_pop: whether a random image leaves a full cache, and not the oldest.
        salt: decides the places, with a draw's number.
    """
    if len(before) <= capacity or not random_pop:
        return before[-capacity:]
    places = _scrambled(before, salt) % np.uint64(capacity)
    _, backwards = np.unique(places[::-1], return_index=True)
    held = np.zeros(len(before), bool)
    held[len(before) - 1 - backwards] = True
    if missing := capacity - len(backwards):
        held[np.flatnonzero(~held)[-missing:]] = True
    return before[held]


def _scrambled(numbers: Numbers, salt: int) -> NDArray[np.uint64]:
    """A number of 64 bits for each, as even as random ones (splitmix64; Steele, Lea and Flood, 2014)."""
    mixed = (numbers.astype(np.uint64) + np.uint64(salt % 2**32 << 32)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


class CachedImages:
    """A data set with such transforms, asked by draws of one process.

    Args:
        dataset: whose images are asked for.
        reading: the data set in it, or itself, that has the transforms in its pipeline, whose place this takes.
        key: of the random numbers of the process.
        begin: the first draw that meets these transforms, with empty caches.
        batch_size: draws of a batch.
    """

    def __init__(self, dataset: Any, reading: Any, key: tuple[int, int], begin: int, batch_size: int) -> None:
        self._dataset = dataset
        self._steps: list[Any] = list(reading.pipeline.transforms)
        self._caches = {place: step for place, step in enumerate(self._steps) if has_cache(step)}
        self._key, self._begin, self._batch_size = key, begin, batch_size
        self._kept: dict[tuple[int, int], dict[int, Any]] = defaultdict(dict)
        self._history = History()
        # The draw that goes through the steps, and before which step it is to be caught.
        self._number, self._end = -1, -1
        reading.pipeline = self._run

    @property
    def reach(self) -> int:
        """How many draws before a batch those can be that it depends on: an image of a cache has met caches itself."""
        return sum(map(self._reach, self._caches.values()))

    def __getitem__(self, draw: Draw) -> Any:
        self._history = draw.history
        result = self._draw(draw.number)
        for place in self._caches:
            held = {*self.content(place, draw.number).tolist(), draw.number}
            kept = self._kept[place, stream_of(draw.number, self._batch_size)]
            for number in kept.keys() - held:
                del kept[number]
        return result

    def content(self, place: int, number: int) -> Numbers:
        """The draws that the cache of a step holds when another one comes to it."""
        step = self._caches[place]
        before = self._history.between(max(self._begin, number - self._reach(step)), number)
        return draws_in_cache(before, step.max_cached_images, step.random_pop, self._key[0] + place)

    def image(self, place: int, number: int) -> Any:
        """What a draw was when it came to a step."""
        kept = self._kept[place, stream_of(number, self._batch_size)]
        if number not in kept:
            kept[number] = self._draw(number, place)
        return kept[number]

    def keep(self, place: int, number: int, image: Any) -> None:
        """Have :meth:`image` give this, unless the draw came to the step before, in a try that was thrown away."""
        self._kept[place, stream_of(number, self._batch_size)].setdefault(number, image)

    def _draw(self, number: int, end: int = -1) -> Any:
        with self._drawing(number, end), seeded(*self._key, number):
            try:
                return self._dataset[self._history.index_of(number)]
            except _Caught as caught:
                return caught.image

    @contextmanager
    def _drawing(self, number: int, end: int) -> Iterator[None]:
        outer = self._number, self._end
        self._number, self._end = number, end
        try:
            yield
        finally:
            self._number, self._end = outer

    def _run(self, image: Any) -> Any:
        for place, step in enumerate(self._steps):
            if place == self._end:
                raise _Caught(image)
            if place in self._caches:
                step.results_cache = _Cache(self, place, self._number)
            image = step(image)
            if image is None:
                return None
        return image

    def _reach(self, step: Any) -> int:
        return STREAMS * (_TURNOVERS * int(step.max_cached_images) + self._batch_size)


def has_cache(step: object) -> bool:
    """Whether a transform keeps images of earlier calls."""
    return hasattr(step, "results_cache")


class _Caught(Exception):
    """No error: how an image leaves the data set half-way."""

    def __init__(self, image: Any) -> None:
        super().__init__()
        self.image = image


class _Cache:
    """What such a transform takes for its list of images, for one call; they are made when they are looked at."""

    def __init__(self, images: CachedImages, place: int, number: int) -> None:
        self._images, self._place, self._number = images, place, number
        self._draws = images.content(place, number).tolist()

    def __len__(self) -> int:
        return len(self._draws)

    def __getitem__(self, index: int) -> Any:
        return self._images.image(self._place, self._draws[index])

    def append(self, image: Any) -> None:
        self._images.keep(self._place, self._number, image)
        self._draws.append(self._number)

    def pop(self, index: int) -> None:
        del self._draws[index]
