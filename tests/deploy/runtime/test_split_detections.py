import json
import threading
from pathlib import Path

import pytest

from deploy.runtime import split_detections
from deploy.runtime.detector import open_detector
from deploy.runtime.errors import ImageError
from deploy.runtime.images import read_image
from deploy.runtime.split import Split
from deploy.runtime.split_detections import detect_split, read_ahead


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_every_image_is_found_in_order_whatever_the_batch(artefact: Path, dataset_dir: Path, batch_size: int) -> None:
    split = Split.read(dataset_dir / "test.json")
    truth = json.loads((dataset_dir / "test.json").read_text())["annotations"]
    with open_detector(artefact, "onnxruntime") as detector:
        found = detect_split(detector, split, dataset_dir / "images/test", [5, 7], "test", batch_size).results()
    assert [item["image_id"] for item in found] == [image["id"] for image in split.images]
    assert [item["bbox"] for item in found] == [item["bbox"] for item in truth]
    assert {item["category_id"] for item in found} == {7}


def test_images_are_read_before_they_are_asked_for_but_not_all(
    dataset_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    second = threading.Event()

    def reading(file: Path) -> object:
        read.append(file)
        if len(read) == 2:
            second.set()
        return read_image(file)

    monkeypatch.setattr(split_detections, "read_image", reading)
    (file,) = list((dataset_dir / "images/test").glob("1.png"))
    images = read_ahead([file] * 5, 1)
    next(images)
    assert second.wait(10), "the second is read while the first is used"
    images.close()
    assert len(read) == 2


def test_an_image_that_cannot_be_read_is_named_when_its_turn_comes(dataset_dir: Path, tmp_path: Path) -> None:
    (file,) = list((dataset_dir / "images/test").glob("1.png"))
    images = read_ahead([file, tmp_path / "none.png", file], 2)
    next(images)
    with pytest.raises(ImageError, match=r"none\.png"):
        next(images)
