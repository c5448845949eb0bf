"""Caches of images that depend on the number of a draw alone."""

import random
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets.transforms import CachedMixUp, CachedMosaic
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import Compose, DefaultSampler
from torch.utils.data import DataLoader

from pipeline.training.cached_images import CachedImages, draws_in_cache
from pipeline.training.draws import STREAMS, NumberedBatches
from pipeline.training.loop import batches_from

SIDE = 8


class Grey:
    """Images of one grey each, after its index, with a box; remembers which were loaded."""

    def __init__(self, size: int, *steps: Any) -> None:
        self.size, self.loaded = size, []
        self.pipeline: Any = Compose([])
        self.pipeline.transforms = [*steps]

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> Any:
        self.loaded.append(index)
        image = {
            "img": np.full((SIDE, SIDE, 3), index, np.uint8),
            "gt_bboxes": HorizontalBoxes(np.array([[1, 1, 6, 6]], np.float32)),
            "gt_bboxes_labels": np.array([index]),
            "gt_ignore_flags": np.zeros(1, bool),
        }
        found = self.pipeline(image)
        return found if found is not None else self[(index + 1) % self.size]  # as mmengine's, another one


class Shaken:
    """A step with a random result, which throws some images away."""

    def __call__(self, image: Any) -> Any:
        image["img"] = image["img"] + np.uint8(random.randrange(3))
        return image if np.random.rand() > 0.2 else None  # noqa: NPY002


class Told(CachedImages):
    """Counts the images that had to be made again."""

    made_again = 0

    def _draw(self, number: int, end: int = -1) -> Any:
        self.made_again += end >= 0
        return super()._draw(number, end)


def steps(random_pop: bool = True) -> list[Any]:
    mosaic = CachedMosaic((SIDE, SIDE), max_cached_images=5, random_pop=random_pop)
    return [mosaic, Shaken(), CachedMixUp((SIDE, SIDE), max_cached_images=3, random_pop=random_pop)]


def images(batch: int, start: int, count: int, workers: int = 0, **more: Any) -> list[Any]:
    """The batches from a number on, as a training loads them."""
    return list(islice(batches_from(loader(batch, workers, **more), start), count))


def loader(batch: int, workers: int = 0, begin: int = 0, random_pop: bool = True) -> "DataLoader[Any]":
    data = Grey(30, *steps(random_pop))
    cached = Told(data, data, (7, 0), begin, batch)
    batches = NumberedBatches(DefaultSampler(data, seed=3), batch)  # type: ignore[arg-type]
    batches.remember(cached.reach)
    found: DataLoader[Any] = DataLoader(
        cached, batch_sampler=batches, num_workers=workers, collate_fn=lambda made: [row(image) for image in made]
    )
    return found


def row(image: Any) -> tuple[bytes, list[int], list[list[float]]]:
    return image["img"].tobytes(), image["gt_bboxes_labels"].tolist(), image["gt_bboxes"].tensor.tolist()


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
@pytest.mark.parametrize("workers", [2, 3])
def test_any_number_of_workers_gives_the_same_images(workers: int) -> None:
    alone = images(4, 3, 30)
    assert images(4, 3, 30, workers) == alone
    assert max(len(labels) for batch in alone for _, labels, _ in batch) > 4  # mosaics of four, mixed


@given(batch=st.integers(1, 5), start=st.integers(0, 60), random_pop=st.booleans(), begin=st.integers(0, 99))
@settings(max_examples=6)
def test_a_training_that_goes_on_sees_the_same_images(batch: int, start: int, random_pop: bool, begin: int) -> None:
    whole = images(batch, 0, start + 3, random_pop=random_pop, begin=begin)
    assert images(batch, start, 3, random_pop=random_pop, begin=begin) == whole[start:]


@pytest.mark.parametrize("random_pop", [True, False])
def test_nothing_is_made_twice_where_a_stream_stays_in_one_process(random_pop: bool) -> None:
    found = loader(2, random_pop=random_pop)
    list(islice(batches_from(found), 80))
    cached: Any = found.dataset
    assert cached.made_again == 0
    held = [len(kept) for (_, _), kept in cached._kept.items()]
    assert len(held) == 2 * STREAMS
    assert max(held) <= 5 + 1


def test_caches_are_empty_where_they_begin() -> None:
    # Up to four images make no mosaic: of each stream the first ones are themselves, whatever came before.
    before, first = images(1, 100, STREAMS, begin=0), images(1, 100, STREAMS, begin=100)
    assert all(len(labels) == 1 for ((_, labels, _),) in first)
    assert any(len(labels) > 1 for ((_, labels, _),) in before)


@given(count=st.integers(0, 400), capacity=st.integers(1, 40), salt=st.integers(0, 9), random_pop=st.booleans())
def test_a_cache_is_full_as_soon_as_it_can_be(count: int, capacity: int, salt: int, random_pop: bool) -> None:
    before = np.arange(3, 3 + 7 * count, 7)
    held = draws_in_cache(before, capacity, random_pop, salt)
    assert len(held) == min(count, capacity) == len({*held.tolist()})
    assert {*held.tolist()} <= {*before.tolist()}
    assert held.tolist() == sorted(held.tolist())
    if count > capacity:
        assert held[-1] == before[-1]
        assert random_pop or held.tolist() == before[-capacity:].tolist()


def test_ages_are_those_of_mmdets_own_cache() -> None:
    # A new one takes the place of any of the 40: an image of age a is there with a chance of (39/40)^a.
    before = np.arange(800)
    ages = np.concatenate([799 - draws_in_cache(before, 40, True, salt) for salt in range(500)])
    assert ages.mean() == pytest.approx(39, abs=1)
    for age in (0, 20, 60):
        assert np.mean(ages == age) * 40 == pytest.approx((39 / 40) ** age, abs=0.06)
