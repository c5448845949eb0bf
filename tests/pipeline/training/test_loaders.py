"""Loaders of a training: numbered batches of train, batches of one size of val, and how many processes load them."""

from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.runner import Runner

from pipeline.records import DatasetRecord
from pipeline.settings import TrainSettings
from pipeline.training import loaders
from pipeline.training.drawn_dataset import DrawnDataset
from pipeline.training.draws import NumberedBatches
from pipeline.training.loaders import SameSizeBatches, train_loader, val_loader, workers_of
from tests.pipeline.training.conftest import RecipeMaker

Squares = tuple[DatasetRecord, Path]


class Sampled:
    """Indices in order, of a data set whose entries have sizes."""

    def __init__(self, sizes: list[tuple[int, int]]) -> None:
        self.sizes, self.dataset = sizes, self

    def __iter__(self) -> Any:
        return iter(range(len(self.sizes)))

    def get_data_info(self, index: int) -> dict[str, int]:
        return dict(zip(("width", "height"), self.sizes[index], strict=True))


@given(sizes=st.lists(st.sampled_from([(4, 3), (3, 4), (5, 5)]), max_size=20), batch_size=st.integers(1, 4))
def test_batches_of_one_size_hold_every_image_once(sizes: list[tuple[int, int]], batch_size: int) -> None:
    batches = list(SameSizeBatches(Sampled(sizes), batch_size))  # type: ignore[arg-type]
    assert sorted(index for batch in batches for index in batch) == list(range(len(sizes)))
    assert all(len({sizes[index] for index in batch}) == 1 for batch in batches)
    assert all(len(batch) <= batch_size for batch in batches)
    # No more than one batch of each size is not full.
    assert sum(len(batch) < batch_size for batch in batches) <= len({*sizes})


def test_both_loaders_are_what_mmengine_builds(
    make_recipe: RecipeMaker, squares: Squares, settings: TrainSettings
) -> None:
    recipe = make_recipe("model", **{"val_dataloader.batch_size": 1})
    for loader in (recipe.config.train_dataloader, recipe.config.val_dataloader):
        loader.persistent_workers = True  # as mmdet's, which have workers of their own
    train, val = (
        Runner.build_dataloader(make(recipe, *squares, settings), seed=0) for make in (train_loader, val_loader)
    )
    assert isinstance(train.batch_sampler, NumberedBatches)
    assert isinstance(train.dataset, DrawnDataset)
    assert len(train) == 6
    batches = [batch["data_samples"] for batch in val]
    assert [len(batch) for batch in batches] == [2, 2]
    assert sorted(sample.img_id for batch in batches for sample in batch) == [0, 1, 2, 3]


def test_a_loader_that_leaves_out_the_last_batch(
    make_recipe: RecipeMaker, squares: Squares, settings: TrainSettings
) -> None:
    options = {"train_dataloader.batch_size": 5, "train_dataloader.sampler.type": "DefaultSampler"}
    recipe = make_recipe("model", **options)
    recipe.config.train_dataloader.drop_last = True
    loader = Runner.build_dataloader(train_loader(recipe, *squares, settings), seed=0)
    assert len(loader) == 2
    assert [len(batch["inputs"]) for batch in islice(loader, 3)] == [5, 5, 5]  # the third is of the next epoch


@pytest.mark.parametrize(
    ("workers", "cores", "processes", "wanted"),
    [(None, 6, 1, 6), (None, 6, 4, 1), (None, 64, 2, 8), (None, 1, 2, 1), (0, 6, 1, 0), (12, 6, 1, 12)],
)
def test_how_many_processes_load(
    workers: int | None, cores: int, processes: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders, "usable_cores", lambda: cores)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert workers_of(SimpleNamespace(workers=workers)) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize(("workers", "cores", "wanted"), [(None, 6, 4), (None, 1, 1), (None, 64, 8), (6, 64, 6)])
def test_each_process_loads_whole_streams_where_images_are_kept(
    workers: int | None, cores: int, wanted: int, make_recipe: RecipeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaders, "usable_cores", lambda: cores)
    recipe = make_recipe("model")
    recipe.config.train_dataloader.dataset.pipeline.insert(2, {"type": "CachedMosaic", "img_scale": (64, 64)})
    assert workers_of(SimpleNamespace(workers=workers), recipe) == wanted  # type: ignore[arg-type]
