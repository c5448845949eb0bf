"""Random numbers of augmentation that depend on which draw of the training an image is, and on nothing else.

Where they come from the state of the process that loads an image, as usual, a result depends on how many such processes
there are, and a training that goes on after a kill has to load everything since its beginning again to get there.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Self

import numpy as np
import torch
from mmdet.datasets import CocoDataset
from mmengine.dist import get_rank
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler


class Draw(int):
    """An index of the data set that knows which draw of its process it is, counted from 0."""

    number: int

    def __new__(cls, index: int, number: int) -> Self:
        draw = super().__new__(cls, index)
        draw.number = number
        return draw

    def __reduce__(self) -> tuple[type[Self], tuple[int, int]]:
        """For the way to another process."""
        return type(self), (int(self), self.number)


class SeededCocoDataset(CocoDataset):
    """mmdet's COCO data set, whose random numbers begin anew for each draw.

    Args:
        seed: of the training.
        arguments: those of mmdet's data set.
    """

    def __init__(self, *, seed: int, **arguments: Any) -> None:
        self._seed = seed
        self._process = get_rank()
        super().__init__(**arguments)

    def __getitem__(self, draw: Draw) -> Any:
        with seeded(self._seed, self._process, draw.number):
            return super().__getitem__(int(draw))


class NumberedBatches(BatchSampler):
    """Batches whose entries are numbered :class:`Draw`; may begin anywhere, and loads nothing on the way there.

    Args:
        sampler: gives the indices.
        batch_size: images in a batch.
        drop_last: leave out a last batch that is not full.
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
        self._number = self._skip = 0

    def begin_at(self, number: int, skip: int) -> None:
        """Let the next iteration leave out its first ``skip`` batches and give the next one ``number``."""
        self._number, self._skip = number, skip

    def __iter__(self) -> Iterator[list[int]]:
        """Numbered batches."""
        for number, batch in enumerate(islice(self._batches, self._skip, None), self._number):
            yield [Draw(index, number * self.batch_size + place) for place, index in enumerate(batch)]

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._batches)


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
