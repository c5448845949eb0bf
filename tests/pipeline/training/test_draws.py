"""Numbered batches that begin anywhere, and random numbers that depend on the number alone."""

import pickle
import random
from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import DataLoader, Dataset

from pipeline.training.draws import Draw, NumberedBatches, seeded
from pipeline.training.loop import batches_from


class Recorded(Dataset[tuple[int, int, float]]):
    """Gives index and number of each draw and a random number; remembers what was loaded."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, draw: Draw) -> tuple[int, int, float]:
        self.loaded.append(draw.number)
        with seeded(3, 0, draw.number):
            return int(draw), draw.number, random.random() + float(np.random.rand()) + torch.rand(()).item()  # noqa: NPY002


def loader(data: Recorded, batch: int, endless: bool, workers: int = 0) -> "DataLoader[tuple[int, int, float]]":
    sampler = (InfiniteSampler if endless else DefaultSampler)(data, seed=3)
    batches = NumberedBatches(sampler, batch)
    return DataLoader(data, batch_sampler=batches, num_workers=workers, collate_fn=list)


def first(data: Recorded, batch: int, endless: bool, start: int, count: int, workers: int = 0) -> list[object]:
    return list(islice(batches_from(loader(data, batch, endless, workers), start), count))


@given(size=st.integers(1, 9), batch=st.integers(1, 4), start=st.integers(0, 40), endless=st.booleans())
@settings(max_examples=60)
def test_any_iteration_may_be_the_first_and_nothing_before_it_is_loaded(
    size: int, batch: int, start: int, endless: bool
) -> None:
    whole = first(Recorded(size), batch, endless, 0, start + 5)
    data = Recorded(size)
    assert first(data, batch, endless, start, 5) == whole[start:]
    assert min(data.loaded) == start * batch


@pytest.mark.parametrize("endless", [True, False])
def test_any_number_of_workers_gives_the_same_numbers(endless: bool) -> None:
    alone, two = (first(Recorded(7), 2, endless, 3, 6, workers) for workers in (0, 2))
    assert alone == two
    drawn = [value for batch in alone for _, _, value in batch]
    assert len({*drawn}) == len(drawn)


def test_an_epoch_holds_every_image_once() -> None:
    for epoch in _epochs(first(Recorded(7), 2, False, 0, 12), 4):
        assert sorted(index for batch in epoch for index, _, _ in batch) == list(range(7))


def test_random_numbers_outside_go_on_as_if_nothing_had_been_drawn_inside() -> None:
    def outside() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), torch.rand(()).item()  # noqa: NPY002

    with seeded(1):
        wanted = [outside(), outside()]
    with seeded(1):
        got = [outside()]
        with seeded(2):
            inner = outside()
        got.append(outside())
    assert got == wanted
    assert inner not in wanted


def test_a_draw_keeps_its_number_on_the_way_to_another_process() -> None:
    copy = pickle.loads(pickle.dumps(Draw(5, 17)))
    assert (int(copy), copy.number) == (5, 17)


def _epochs(batches: list[object], length: int) -> Iterator[list[object]]:
    for start in range(0, len(batches), length):
        yield batches[start : start + length]
