"""A small, valid data set with YOLO's labels, to be changed and written."""

from pathlib import Path

import cv2
import numpy as np
import yaml

NAMES = ["big cat", "dog"]
ROWS = {
    "a": "0 0.5 0.5 0.25 0.5\n1 0.1 0.2 0.2 0.4\n",
    "b": "1 0.5 0.5 1 1\n",
}


class YoloFolder:
    """Each split has the images a.png and b.png of 40 x 30 pixels, and three boxes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config: dict[str, object] = {"names": NAMES, "nc": 2} | {
            name: f"images/{name}" for name in ("train", "val", "test")
        }
        self.rows = {f"{split}/{name}": text for split in ("train", "val", "test") for name, text in ROWS.items()}

    def write(self) -> "YoloFolder":
        for number, (name, text) in enumerate(self.rows.items()):
            self.write_image(f"images/{name}.png", number)
            self.write_text(f"labels/{name}.txt", text)
        self.write_text("data.yaml", yaml.safe_dump(self.config))
        return self

    def write_text(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def write_image(self, name: str, seed: int, width: int = 40, height: int = 30) -> Path:
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels)
        return path
