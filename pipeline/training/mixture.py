"""In which order a training goes through pictures that people labelled and pictures with pseudo-labels."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from math import ceil, floor
from typing import Any

import numpy as np
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.dist import get_dist_info
from numpy.typing import NDArray


class Mixture:
    """Which picture is the next: labelled ones, and among them in even distances ``ratio`` times as many others.

    Each kind is gone through in an order that is drawn anew each time.

    Args:
        labelled: number of labelled pictures, which have the indices from 0 on.
        others: number of pictures with pseudo-labels, which come after them.
        ratio: pictures with pseudo-labels for each labelled one.
        seed: of the orders.
        rank: of this process among ``processes``, which all have pictures of one kind at one position.
    """

    def __init__(self, labelled: int, others: int, ratio: float, seed: int, rank: int = 0, processes: int = 1) -> None:
        self._sizes = labelled, others
        self._share = ratio / (1 + ratio)
        self._rank, self._processes = rank, processes
        self._seed = seed
        # Of each kind the order that is gone through now, and the one before it where processes are at its end.
        self._order = lru_cache(4)(self._drawn_order)

    def index(self, position: int) -> int:
        """The index of the picture that this process has at a position, counted from 0."""
        others = floor(position * self._share)
        kind = int(floor((position + 1) * self._share) > others)
        before = others if kind else position - others
        turn, place = divmod(before * self._processes + self._rank, self._sizes[kind])
        return int(self._order(kind, turn)[place]) + kind * self._sizes[0]

    def _drawn_order(self, kind: int, turn: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, kind, turn]).permutation(self._sizes[kind])


class EndlessMixtureSampler(InfiniteSampler):
    """The order of a :class:`Mixture` without end, for a training that counts iterations.

    Args:
        dataset: what is trained on, with the number of its ``labelled`` pictures.
        ratio: as of :class:`Mixture`.
        seed: of the order.
    """

    def __init__(self, dataset: Any, ratio: float, seed: int) -> None:
        super().__init__(dataset, seed=seed)
        self._mixture = _mixture(dataset, ratio, seed)

    def __iter__(self) -> Iterator[int]:
        """Indices of the data set."""
        return map(self._mixture.index, count())


class MixtureSampler(DefaultSampler):
    """The order of a :class:`Mixture` in epochs, which are as long as without pseudo-labels.

    So a training is as long as its twin's, and sees fewer labelled pictures in that time.

    Args:
        dataset: what is trained on, with the number of its ``labelled`` pictures.
        ratio: as of :class:`Mixture`.
        seed: of the order.
    """

    def __init__(self, dataset: Any, ratio: float, seed: int) -> None:
        super().__init__(dataset, seed=seed)
        self._mixture = _mixture(dataset, ratio, seed)
        self.num_samples = ceil(dataset.labelled * dataset.repeats / self.world_size)

    def __iter__(self) -> Iterator[int]:
        """Indices of the data set."""
        first = self.epoch * self.num_samples
        return map(self._mixture.index, range(first, first + self.num_samples))


def _mixture(dataset: Any, ratio: float, seed: int) -> Mixture:
    rank, processes = get_dist_info()
    others = len(dataset) // dataset.repeats - dataset.labelled
    return Mixture(dataset.labelled, others, ratio, seed, rank, processes)
