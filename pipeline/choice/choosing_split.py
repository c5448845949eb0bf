"""What chooses in a folder without a test split: a part of train where it can be spared, and else val."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.dataset_settings import ChoosingSplit, DataSettings
from pipeline.datasets.folder_format import split_names
from pipeline.datasets.preparation import prepare
from pipeline.errors import DatasetError
from pipeline.records import DatasetRecord

LEAST_TRAIN, LEAST_PART = 200, 20
"""Images that are left in train, and that choose: with fewer, training loses more than an honest number is worth."""


@dataclass(frozen=True)
class ChosenSplit:
    """A prepared data set and what chooses in it; ``reason`` is why no part of train does, where one could."""

    dataset: DatasetRecord
    choose_on: ChoosingSplit
    reason: str


def prepare_to_choose(found: DataSettings, wish: ChoosingSplit | None, folder: Path) -> ChosenSplit:
    """Prepare a folder of the user's with what suits it, or what is wished, as ``data.choose_on``.

    Raises:
        DatasetError: the data set is unusable, or has a test split of its own where train is wished.
    """
    if wish is not None or split_names(found) != {"train", "val"}:
        return ChosenSplit(prepare(_choosing(found, wish or "val"), folder), wish or "val", "")
    reason = "train cannot be split"
    try:
        dataset = prepare(_choosing(found, "train"), folder)
        if not (reason := what_it_lacks(dataset)):
            return ChosenSplit(dataset, "train", "")
    except DatasetError:
        # Of no part with a box, or of the data set itself, which is said again below.
        pass
    return ChosenSplit(prepare(found, folder), "val", reason)


def what_it_lacks(dataset: DatasetRecord) -> str:
    """Why train of a data set is too small for the part that was taken from it; nothing where it is not."""
    train, part = dataset.splits["train"], dataset.splits["val"]
    if train.images < LEAST_TRAIN:
        return f"train would keep {train.images} images without a part to choose on, and {LEAST_TRAIN} are the least"
    if part.images < LEAST_PART:
        return f"the part of train would have {part.images} images, and {LEAST_PART} are the least"
    counts = [split.boxes_per_class for split in (train, part)]
    lacking = [name for name in dataset.classes if sum(of[name] == 0 for of in counts) == 1]
    return f"too few images of train have {', '.join(lacking)} to be in both parts" if lacking else ""


def _choosing(found: DataSettings, choose_on: ChoosingSplit) -> DataSettings:
    return found.model_copy(update={"choose_on": choose_on})
