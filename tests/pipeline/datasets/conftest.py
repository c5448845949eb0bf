import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.datasets.photos import fetch_photos
from pipeline.layout import CACHE

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def photo_cache() -> Path:
    """The project's download cache, which holds the photos of the embedded data sets."""
    cache = PROJECT / CACHE
    fetch_photos(cache)
    return cache


class CocoFolder:
    """A small, valid data set of the user's: each split has two images of 40 x 30 pixels and three boxes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.splits = {split: self._content(index) for index, split in enumerate(("train", "val", "test"))}

    def _content(self, index: int) -> dict[str, list[dict[str, Any]]]:
        first = 10 * index
        images = [
            {"id": first + offset, "file_name": f"{first + offset}.png", "width": 40, "height": 30} for offset in (1, 2)
        ]
        boxes = [([1, 2, 10, 12], 1, 7), ([5.5, 6.25, 20.5, 8], 1, 3), ([0, 0, 40, 30], 2, 3)]
        annotations = [
            {"id": first + number, "image_id": first + image, "category_id": category, "bbox": box, "iscrowd": 0}
            for number, (box, image, category) in enumerate(boxes, 1)
        ]
        return {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
        }

    def folder(self, split: str) -> Path:
        return self.root / "images" / split

    def write(self) -> "CocoFolder":
        (self.root / "annotations").mkdir(parents=True, exist_ok=True)
        for split, content in self.splits.items():
            self.folder(split).mkdir(parents=True, exist_ok=True)
            for image in content["images"]:
                self.write_image(split, image["file_name"], seed=image["id"])
            (self.root / "annotations" / f"{split}.json").write_text(json.dumps(content))
        return self

    def write_image(self, split: str, name: str, seed: int, width: int = 40, height: int = 30) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        path = self.folder(split) / name
        cv2.imwrite(str(path), pixels)
        return path


@pytest.fixture
def coco_folder(tmp_path: Path) -> Callable[[], CocoFolder]:
    """Make a small, valid COCO folder below ``tmp_path / "custom"``; change it, then call ``write``."""
    return lambda: CocoFolder(tmp_path / "custom")
