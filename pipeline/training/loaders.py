"""The data loaders of a training: a recipe's, with the files and classes of the prepared data set."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from mmengine.config import ConfigDict
from torch.utils.data import BatchSampler, Sampler

from deploy.runtime.resources import usable_cores
from pipeline.datasets.prepared import split_paths
from pipeline.errors import RecipeError
from pipeline.layout import PSEUDO_LABELS
from pipeline.recipes import Recipe
from pipeline.recipes.nested_datasets import innermost, type_of, with_innermost
from pipeline.recipes.recipe import pseudo_label_ratio
from pipeline.records import DatasetRecord
from pipeline.settings import TrainSettings
from pipeline.training.cache_memory import has_caches
from pipeline.training.collectives import processes_here
from pipeline.training.drawn_dataset import DrawnDataset
from pipeline.training.draws import STREAMS, NumberedBatches
from pipeline.training.mixture import EndlessMixtureSampler, MixtureSampler
from pipeline.training.pseudo_labelled import PseudoLabelledCoco

_MIXED = {"InfiniteSampler": EndlessMixtureSampler, "DefaultSampler": MixtureSampler}
"""What takes a sampler's place where pictures without boxes are mixed in."""
_MOST_WORKERS = 8
"""Where nobody says how many: more than these wait for the disk or for the model, not for a core."""


def train_loader(recipe: Recipe, dataset: DatasetRecord, dataset_dir: Path, settings: TrainSettings) -> ConfigDict:
    """Batches of the train split, numbered; the same ones for any number of workers and after any resume."""
    loader = _loader(recipe.config.train_dataloader, recipe, dataset, dataset_dir, "train", settings)
    loader.persistent_workers = loader.num_workers > 0
    if ratio := pseudo_label_ratio(recipe.config):
        _mix_in(loader, ratio, dataset_dir)
    loader.dataset = {"type": DrawnDataset, "seed": settings.seed, "dataset": loader.dataset}
    within = {"drop_last": loader.pop("drop_last", False), "within": loader.pop("batch_sampler", None)}
    loader.batch_sampler = {"type": NumberedBatches, **within}
    return loader


def val_loader(recipe: Recipe, dataset: DatasetRecord, dataset_dir: Path, settings: TrainSettings) -> ConfigDict:
    """Batches of the val split, in each of them images of one size.

    As many images as in a batch of training have room. They are equal in size, because padding would change what a
    network computes; mmdet's configurations validate one image at a time for that reason.
    """
    loader = _loader(recipe.config.val_dataloader, recipe, dataset, dataset_dir, "val", settings)
    # They would hold their memory from one validation to the next.
    loader.persistent_workers = False
    loader.batch_size = max(loader.get("batch_size", 1), recipe.config.train_dataloader.batch_size)
    loader.pop("drop_last", None)
    loader.batch_sampler = {"type": SameSizeBatches}
    return loader


def workers_of(settings: TrainSettings, recipe: Recipe | None = None) -> int:
    """Processes that load images for this one, by the settings, or as suits the machine and a recipe."""
    if settings.workers is not None:
        return settings.workers
    most = max(1, min(_MOST_WORKERS, usable_cores() // processes_here()))
    if recipe is None or not has_caches(recipe):
        return most
    # So that a stream of draws stays in one process, and so do the images that it keeps.
    return max(number for number in range(1, most + 1) if STREAMS % number == 0)


class SameSizeBatches(BatchSampler):
    """Batches of images of one width and height, in the order in which they get full; then the rest of each size."""

    def __init__(self, sampler: Sampler[int], batch_size: int) -> None:
        super().__init__(sampler, batch_size, drop_last=False)

    def __iter__(self) -> Iterator[list[int]]:
        """Batches of indices."""
        waiting: dict[tuple[int, int], list[int]] = defaultdict(list)
        sampler: Any = self.sampler
        for index in sampler:
            entry = sampler.dataset.get_data_info(index)
            batch = waiting[entry["width"], entry["height"]]
            batch.append(index)
            if len(batch) == self.batch_size:
                yield batch[:]
                batch.clear()
        yield from filter(None, waiting.values())


def _loader(
    template: dict[str, Any],
    recipe: Recipe,
    dataset: DatasetRecord,
    dataset_dir: Path,
    split: str,
    settings: TrainSettings,
) -> ConfigDict:
    loader = ConfigDict(template, num_workers=workers_of(settings, recipe))
    loader.dataset = dataset_config(template["dataset"], recipe, dataset, dataset_dir, split)
    if not torch.cuda.is_available():
        # For copies to a GPU; torch warns of it elsewhere.
        loader.pop("pin_memory", None)
    return loader


def _mix_in(loader: ConfigDict, ratio: float, dataset_dir: Path) -> None:
    """Let pictures with pseudo-labels take turns with the loader's own.

    Raises:
        RecipeError: the recipe takes a part of the pictures alone, or draws them in an order of its own.
    """
    kind = type_of(loader.sampler)
    if kind not in _MIXED or not loader.sampler.get("shuffle", True):
        raise RecipeError(
            f"train_dataloader.sampler is {dict(loader.sampler)}, and pictures without boxes take turns with those of "
            f"{' or '.join(_MIXED)} with shuffle=True alone; set it so, or leave `unlabelled` out"
        )
    if "indices" in innermost(loader.dataset):
        raise RecipeError(
            "train_dataloader.dataset.indices takes a part of the pictures, which those without boxes would be counted "
            "among; leave it out, and set data.labelled_share for fewer labelled ones"
        )
    second = {"pseudo_labels": str(PSEUDO_LABELS.resolve()), "pseudo_root": str(dataset_dir.resolve())}
    loader.dataset = ConfigDict(
        with_innermost(loader.dataset, lambda reading: {**reading, **second, "type": PseudoLabelledCoco})
    )
    loader.sampler = {"type": _MIXED[kind], "ratio": ratio}


def dataset_config(
    template: dict[str, Any], recipe: Recipe, dataset: DatasetRecord, dataset_dir: Path, split: str
) -> ConfigDict:
    """The recipe's data set, or the one in it that reads files, with those and the classes of the prepared one."""
    annotations, image_root = split_paths(dataset_dir, dataset.splits[split])
    ours = {
        "ann_file": str(annotations.resolve()),
        "data_root": "",
        "data_prefix": {"img": str(image_root.resolve())},
        "metainfo": {"classes": tuple(recipe.classes)},
    }
    return ConfigDict(with_innermost(template, lambda reading: {**reading, **ours}))
