"""The data set of a training: mmdet's own, asked by numbered draws."""

from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from mmdet.datasets import MultiImageMixDataset
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.dataset import Compose, RepeatDataset
from mmengine.dist import get_rank

from pipeline.training.cached_images import CachedImages, has_cache
from pipeline.training.draws import Draw, seeded
from pipeline.training.switches import Switch

_AROUND = (RepeatDataset, MultiImageMixDataset)


class DrawnDataset:
    """An mmdet data set whose random numbers begin anew for each draw, and whose steps may change with one.

    Args:
        seed: of the training.
        dataset: configuration of mmdet's.
    """

    def __init__(self, seed: int, dataset: dict[str, Any]) -> None:
        self._key = (seed, get_rank())
        self._dataset = DATASETS.build(dataset)
        self._begins: list[int] = [0]
        self._phases: list[Any] = [_SeededImages(self._dataset, self._key)]

    def plan(self, switches: Iterable[tuple[int, Switch]], batch_size: int) -> int:
        """Change with draws, and tell how far back a draw may depend on earlier ones of its stream.

        Args:
            switches: with the number of the first draw that each is for, in order.
            batch_size: draws of a batch.
        """
        phases = [(0, self._dataset)]
        for begin, switch in switches:
            phases.append((begin, _switched(phases[-1][1], switch)))
        self._begins = [begin for begin, _ in phases]
        self._phases = [self._images(dataset, begin, batch_size) for begin, dataset in phases]
        return max(phase.reach for phase in self._phases)

    @property
    def labelled(self) -> int:
        """How many pictures have boxes that people drew, of a data set with pseudo-labels."""
        return int(_reading(self._dataset).labelled)

    @property
    def repeats(self) -> int:
        """How many times an epoch has each picture."""
        return len(self._dataset) // len(_reading(self._dataset))

    def full_init(self) -> None:
        """Read the annotations, once for all processes that load images."""
        self._dataset.full_init()

    def __getitem__(self, draw: Draw) -> Any:
        return self._phases[bisect(self._begins, draw.number) - 1][draw]

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> Any:
        # Samplers and hooks ask a data set for sizes and classes.
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._dataset, name)

    def _images(self, dataset: Any, begin: int, batch_size: int) -> "CachedImages | _SeededImages":
        outer, reading = _copied(dataset)
        if any(map(has_cache, reading.pipeline.transforms)):
            return CachedImages(outer, reading, self._key, begin, batch_size)
        return _SeededImages(dataset, self._key)


class _SeededImages:
    """Images that depend on no other draw."""

    reach = 0

    def __init__(self, dataset: Any, key: tuple[int, int]) -> None:
        self._dataset, self._key = dataset, key

    def __getitem__(self, draw: Draw) -> Any:
        with seeded(*self._key, draw.number):
            return self._dataset[int(draw)]


def _reading(dataset: Any) -> Any:
    """The data set that reads files, of one that may be around it."""
    while isinstance(dataset, _AROUND):
        dataset = dataset.dataset
    return dataset


def _copied(dataset: Any) -> tuple[Any, Any]:
    """A copy whose parts may be replaced, and its data set that reads files; the annotations are in memory once."""
    reading = outer = copy(dataset)
    while isinstance(reading, _AROUND):
        reading.dataset = copy(reading.dataset)
        reading = reading.dataset
    return outer, reading


def _switched(dataset: Any, switch: Switch) -> Any:
    outer, reading = _copied(dataset)
    mixing = outer
    while isinstance(mixing, RepeatDataset):
        mixing = mixing.dataset
    if not isinstance(mixing, MultiImageMixDataset):
        if switch.steps is not None:
            reading.pipeline = Compose(_plain(switch.steps))
        return outer
    if switch.steps is not None:
        mixing.pipeline = [TRANSFORMS.build(step) for step in _plain(switch.steps)]
        mixing.pipeline_types = [step["type"] for step in switch.steps]
    if switch.skipped:
        mixing.update_skip_type_keys(switch.skipped)
    return outer


def _plain(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    # Registries take keys out of what they are given.
    return [dict(step) for step in steps]
