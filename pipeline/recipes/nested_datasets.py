"""A recipe's data set as mmdet nests it: those that change what an epoch or an image is, around one that reads files.

``RepeatDataset`` has each image several times an epoch, ``MultiImageMixDataset`` puts several of them into one.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

REPEATING, MIXING, READING = "RepeatDataset", "MultiImageMixDataset", "CocoDataset"

_OWN_KEYS = {REPEATING: {"times"}, MIXING: {"pipeline", "skip_type_keys", "max_refetch"}}
_NEEDED = {REPEATING: {"times"}, MIXING: {"pipeline"}}
_KEYS = {"type", "_scope_", "dataset", "lazy_init"}

Dataset = Mapping[str, Any]


def type_of(section: Mapping[str, Any]) -> str:
    """The registered name of a section, without the scope that it may be written with."""
    return str(section.get("type")).rpartition(".")[2]


def layers(dataset: Dataset) -> list[Dataset]:
    """The data sets of a nested one, from the outermost to the one that reads files."""
    found = [dataset]
    while isinstance(inner := found[-1].get("dataset"), Mapping):
        found.append(inner)
    return found


def innermost(dataset: Dataset) -> Dataset:
    """The data set that reads files."""
    return layers(dataset)[-1]


def is_honoured(dataset: Dataset) -> bool:
    """Whether it is one COCO data set, alone or within those of this module, and they say nothing else than is read."""
    *outer, reading = layers(dataset)
    return type_of(reading) == READING and all(
        (kind := type_of(layer)) in _NEEDED and _NEEDED[kind] <= {*layer} <= _KEYS | _OWN_KEYS[kind] for layer in outer
    )


def repeats(dataset: Dataset) -> int:
    """How many times an epoch has each image."""
    return math.prod(int(layer.get("times", 1)) for layer in layers(dataset))


def steps_of(dataset: Dataset) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The steps that an image goes through, in their order, each with its key below the data set's."""
    for depth, layer in reversed([*enumerate(layers(dataset))]):
        for index, step in enumerate(layer.get("pipeline") or []):
            yield f"{'dataset.' * depth}pipeline.{index}", step


def with_innermost(dataset: Dataset, change: Callable[[Dataset], Dataset]) -> dict[str, Any]:
    """A copy with another data set that reads files, made from the one there is."""
    inner = dataset.get("dataset")
    if isinstance(inner, Mapping):
        return {**dataset, "dataset": with_innermost(inner, change)}
    return dict(change(dataset))
