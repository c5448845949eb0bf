"""Random numbers of augmentation that depend on which draw of the training an image is, and on nothing else.

Where they come from the state of the process that loads an image, as usual, a result depends on how many such processes
there are, and a training that goes on after a kill has to load everything since its beginning again to get there.
"""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.registry import DATA_SAMPLERS
from numpy.typing import NDArray
from torch.utils.data import BatchSampler, Sampler

STREAMS = 8
"""Into how many streams the batches are dealt out, by their number; a draw knows earlier ones of its own stream."""


def _none() -> NDArray[np.int64]:
    return np.empty(0, np.int64)


@dataclass(frozen=True)
class History:
    """Draws of one stream up to the end of a batch: their numbers, which rise, and the indices that were drawn."""

    numbers: NDArray[np.int64] = field(default_factory=_none)
    indices: NDArray[np.int64] = field(default_factory=_none)

    def with_batch(self, first: int, batch: list[int], reach: int) -> "History":
        """With a batch more, and without draws more than ``reach`` before it."""
        kept = self.numbers >= first - reach
        numbers = np.concatenate([self.numbers[kept], np.arange(first, first + len(batch))])
        return History(numbers, np.concatenate([self.indices[kept], np.asarray(batch, np.int64)]))

    def index_of(self, number: int) -> int:
        """What was drawn with this number."""
        return int(self.indices[np.searchsorted(self.numbers, number)])

    def between(self, first: int, end: int) -> NDArray[np.int64]:
        """The numbers from ``first`` on before ``end``."""
        return self.numbers[slice(*np.searchsorted(self.numbers, (first, end)))]


_NO_HISTORY = History()


class Draw(int):
    """An index of the data set that knows which draw of its process it is, counted from 0, and those before it."""

    number: int
    history: History

    def __new__(cls, index: int, number: int, history: History = _NO_HISTORY) -> Self:
        draw = super().__new__(cls, index)
        draw.number, draw.history = number, history
        return draw

    def __reduce__(self) -> tuple[type[Self], tuple[int, int, History]]:
        """For the way to another process."""
        return type(self), (int(self), self.number, self.history)


class NumberedBatches(BatchSampler):
    """Batches without end, epoch after epoch, whose entries are numbered :class:`Draw`; may begin anywhere.

    What comes before is not loaded. The sampler is told each epoch's number and shuffles by it; mmengine's
    ``InfiniteSampler`` knows one epoch, which does not end. Can be iterated over once, as that sampler can.

    Args:
        sampler: gives the indices.
        batch_size: images in a batch.
        drop_last: leave out a last batch of an epoch that is not full.
        within: configuration of the recipe's own batch sampler, which is numbered then.
    """

    def __init__(
        self, sampler: Sampler[int], batch_size: int, drop_last: bool = False, within: dict[str, Any] | None = None
    ) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self._batches: Any = BatchSampler(sampler, batch_size, drop_last)
        if within is not None:
            given: dict[str, Any] = {"drop_last": True} if drop_last else {}
            given |= {"sampler": sampler, "batch_size": batch_size}
            self._batches = DATA_SAMPLERS.build(within, default_args=given)
        self._first = self._reach = 0

    def begin_at(self, batch: int) -> None:
        """Let the first batch be the one of this number."""
        self._first = batch

    def remember(self, reach: int) -> None:
        """Let each draw know those of its stream back to this many before its batch."""
        self._reach = reach

    def __iter__(self) -> Iterator[list[int]]:
        """Numbered batches."""
        streams = [_NO_HISTORY] * STREAMS
        remembered = max(0, self._first - math.ceil(self._reach / self.batch_size))
        for number, batch in enumerate(self._from(remembered), remembered):
            first = number * self.batch_size
            history = streams[number % STREAMS].with_batch(first, batch, self._reach)
            streams[number % STREAMS] = history
            if number >= self._first:
                yield [Draw(index, first + place, history) for place, index in enumerate(batch)]

    def _from(self, number: int) -> Iterator[list[int]]:
        endless = isinstance(self.sampler, InfiniteSampler)
        epoch, skip = (0, number) if endless else divmod(number, len(self))
        while True:
            if hasattr(self.sampler, "set_epoch"):
                self.sampler.set_epoch(epoch)
            yield from islice(self._batches, skip, None)
            epoch, skip = epoch + 1, 0

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._batches)


def stream_of(number: int, batch_size: int) -> int:
    """The stream of a draw."""
    return number // batch_size % STREAMS


@contextmanager
def seeded(*key: int) -> Iterator[None]:
    """Draw the random numbers of Python, numpy and torch (on the CPU) from ``key`` inside, and from before outside."""
    # The global generators are those that transforms draw from.
    python, arrays, tensors = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    first, second, third = (int(word) for word in np.random.SeedSequence(key).generate_state(3))
    random.seed(first)
    np.random.seed(second)  # noqa: NPY002
    torch.default_generator.manual_seed(third)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(arrays)  # noqa: NPY002
        torch.set_rng_state(tensors)
