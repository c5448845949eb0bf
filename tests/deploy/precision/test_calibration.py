"""Which images calibrate, and what they say."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from deploy.precision.calibration import activation_ranges, choose_images
from deploy.precision.network import load_exported
from pipeline.deploy_settings import CalibrationSettings
from pipeline.errors import DatasetError
from tests.deploy.tiny import write_dataset, write_network_artefact

BOXES = [(x, 10, x + 20, 40) for x in range(0, 60, 10)]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return write_dataset(tmp_path / "prepared", BOXES, splits=("train", "val"))


def test_the_seed_decides_and_the_hash_tells(dataset: Path) -> None:
    settings = CalibrationSettings(images=4)
    first, again = choose_images(dataset, settings), choose_images(dataset, settings)
    other = choose_images(dataset, CalibrationSettings(images=4, seed=1))
    assert first == again
    assert first.record.sha256 != other.record.sha256
    assert len(set(first.files)) == 4
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in first.files]
    assert first.record.sha256 == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert (first.record.split, first.record.images, first.record.seed) == ("train", 4, 0)


def test_other_content_under_the_same_name_is_another_set(dataset: Path) -> None:
    settings = CalibrationSettings(images=6)
    before = choose_images(dataset, settings)
    cv2.imwrite(str(before.files[0]), np.zeros((64, 96, 3), np.uint8))
    assert choose_images(dataset, settings).record.sha256 != before.record.sha256


def test_a_small_split_gives_all_that_it_has(dataset: Path) -> None:
    found = choose_images(dataset, CalibrationSettings(images=100))
    assert (found.record.images, len(found.files)) == (6, 6)


def test_a_data_set_without_train_split(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"has no split 'train', it has \['test'\]"):
        choose_images(write_dataset(tmp_path / "prepared", BOXES), CalibrationSettings())


def test_an_empty_split(dataset: Path) -> None:
    (dataset / "test.txt").write_text("")
    with pytest.raises(DatasetError, match=r"test\.txt: no images to calibrate with"):
        choose_images(dataset, CalibrationSettings())


@pytest.mark.parametrize("missing", ["test.txt", "images/test/3.png"], ids=["names", "image"])
def test_a_missing_file_is_named(missing: str, dataset: Path) -> None:
    (dataset / missing).unlink()
    with pytest.raises(DatasetError, match=rf"{missing}: no s.*dvc repro data"):
        choose_images(dataset, CalibrationSettings())


def test_boxes_are_not_read(dataset: Path) -> None:
    expected = choose_images(dataset, CalibrationSettings())
    (dataset / "test.json").unlink()
    assert choose_images(dataset, CalibrationSettings()) == expected


def test_ranges_are_those_of_the_images(dataset: Path, tmp_path: Path) -> None:
    model, spec = load_exported(write_network_artefact(tmp_path / "x.onnx"))
    for number in range(1, 7):
        picture = np.full((64, 96, 3), 7, np.uint8)
        picture[..., 2] = 10 * number
        cv2.imwrite(str(dataset / f"images/test/{number}.png"), picture)
    files = choose_images(dataset, CalibrationSettings(images=6)).files
    ranges = activation_ranges(model, spec, files, {"Conv"})
    found = {name: (float(low.item()), float(high.item())) for name, (low, high) in ranges.items()}
    assert found["column"] == found["narrow"] == (10.0, 60.0)
    assert found["wide"] == (10.0, 6e6)
