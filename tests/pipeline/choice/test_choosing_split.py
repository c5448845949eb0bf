"""What chooses in a folder without a test split: by how many pictures train has, and by their classes."""

import re
from pathlib import Path

import pytest

from pipeline.choice.choosing_split import prepare_to_choose, what_it_lacks
from pipeline.datasets.folder_format import detect
from pipeline.datasets.prepared import read_dataset
from pipeline.errors import DatasetError
from pipeline.records import DatasetRecord, SplitRecord
from tests.pipeline.datasets.yolo_folder import YoloFolder


def own(root: Path, train: int) -> Path:
    """A folder with so many pictures in train, each of two classes in turn, two in val and no test split."""
    folder = YoloFolder(root)
    del folder.config["test"]
    folder.rows = {f"train/{number:03}": f"{number % 2} 0.5 0.5 0.25 0.5\n" for number in range(train)}
    folder.rows |= {"val/a": "0 0.5 0.5 0.25 0.5\n", "val/b": "1 0.5 0.5 0.25 0.5\n"}
    return folder.write().root


def dataset(train: tuple[int, ...], part: tuple[int, ...], images: tuple[int, int] = (200, 20)) -> DatasetRecord:
    """A data set with so many boxes a class in train and in the part of it."""
    classes = ["cat", "dog", "eel"]
    splits = {
        name: SplitRecord(
            annotations="", image_root="", sha256="", images=count, boxes=sum(boxes), crowd_boxes=0,
            images_without_boxes=0, boxes_per_class=dict(zip(classes, boxes, strict=True)),
        )
        for name, boxes, count in zip(("train", "val"), (train, part), images, strict=True)
    }  # fmt: skip
    return DatasetRecord(name="own", title="", composed=False, classes=classes, splits=splits, credits=[], findings=[])


def test_a_large_train_gives_a_part_of_it_to_choose_on(tmp_path: Path) -> None:
    chosen = prepare_to_choose(detect(own(tmp_path / "own", 240)), None, tmp_path / "out")
    assert (chosen.choose_on, chosen.reason) == ("train", "")
    assert {name: split.images for name, split in chosen.dataset.splits.items()} == {"train": 204, "val": 36, "test": 2}
    assert read_dataset(tmp_path / "out") == chosen.dataset


def test_of_few_pictures_none_are_taken_and_the_reason_is_told(tmp_path: Path) -> None:
    found = detect(own(tmp_path / "own", 30))
    chosen = prepare_to_choose(found, None, tmp_path / "out")
    assert (chosen.choose_on, list(chosen.dataset.splits)) == ("val", ["train", "val"])
    assert re.fullmatch(r"train would keep 2[56] images without a part to choose on, and 200 .* least", chosen.reason)
    assert read_dataset(tmp_path / "out") == chosen.dataset
    wished = prepare_to_choose(found, "train", tmp_path / "out")
    assert (wished.choose_on, wished.reason, list(wished.dataset.splits)) == ("train", "", ["train", "val", "test"])


def test_a_train_that_cannot_be_split_is_left_whole_and_a_bad_one_is_named(tmp_path: Path) -> None:
    root = own(tmp_path / "own", 1)
    chosen = prepare_to_choose(detect(root), None, tmp_path / "out")
    assert (chosen.choose_on, chosen.reason) == ("val", "train cannot be split")
    (root / "labels/val/a.txt").write_text("9 0.5 0.5 0.25 0.5\n")
    with pytest.raises(DatasetError, match=r"a\.txt"):
        prepare_to_choose(detect(root), None, tmp_path / "out")


def test_a_test_split_of_its_own_leaves_nothing_to_choose(tmp_path: Path) -> None:
    found = detect(YoloFolder(tmp_path / "own").write().root)
    chosen = prepare_to_choose(found, None, tmp_path / "out")
    assert (chosen.choose_on, chosen.reason, len(chosen.dataset.splits)) == ("val", "", 3)
    with pytest.raises(DatasetError, match=r"data\.choose_on is 'train'"):
        prepare_to_choose(found, "train", tmp_path / "out")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (dataset((9, 9, 9), (1, 1, 1)), ""),
        (dataset((9, 9, 0), (1, 1, 0)), ""),  # train never had any of it
        (dataset((9, 9, 9), (1, 1, 1), (199, 20)), "train would keep 199 images"),
        (dataset((9, 9, 9), (1, 1, 1), (200, 19)), "the part of train would have 19 images, and 20"),
        (dataset((9, 9, 9), (1, 0, 0)), "too few images of train have dog, eel to be in both parts"),
        (dataset((9, 9, 0), (1, 1, 1)), "too few images of train have eel to be"),
    ],
)
def test_what_a_part_of_train_lacks(record: DatasetRecord, reason: str) -> None:
    said = what_it_lacks(record)
    assert said.startswith(reason)
    assert bool(said) == bool(reason)
