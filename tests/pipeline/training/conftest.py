"""A data set of coloured squares and a detector of a few thousand weights: a training takes seconds."""

import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pytest

from pipeline.recipes import Recipe, load_resolved, resolve, write_resolved
from pipeline.recipes.plain_settings import PlainSettings
from pipeline.records import DatasetRecord, SplitRecord
from pipeline.settings import TrainSettings

CLASSES = ["bright", "dark"]
SIZE = 64
TWIN = "twin_gfl_r18w16_embedded.py"


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> tuple[DatasetRecord, Path]:
    """A prepared data set of 12 training and 4 val images, 64 x 64, one square each; one image is empty."""
    root = tmp_path_factory.mktemp("squares")
    splits = {name: _split(root, name, count) for name, count in (("train", 12), ("val", 4))}
    record = DatasetRecord(
        name="squares", title="Squares", composed=True, classes=CLASSES, splits=splits, credits=[], findings=[]
    )
    return record, root


def _split(root: Path, name: str, count: int) -> SplitRecord:
    rng = np.random.default_rng(len(name))
    folder = root / "images" / name
    folder.mkdir(parents=True)
    images, annotations = [], []
    for index in range(count):
        picture = rng.integers(90, 130, (SIZE, SIZE, 3), dtype=np.uint8)
        if index:
            left, top, side = (int(value) for value in rng.integers(4, 28, 3))
            label = index % 2
            picture[top : top + side, left : left + side] = 250 if label == 0 else 5
            box = [float(left), float(top), float(side), float(side)]
            annotations.append(
                {
                    "id": index,
                    "image_id": index,
                    "category_id": label + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
        cv2.imwrite(str(folder / f"{index}.png"), picture)
        images.append({"id": index, "file_name": f"{index}.png", "width": SIZE, "height": SIZE})
    categories = [{"id": number + 1, "name": label} for number, label in enumerate(CLASSES)]
    content = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    (root / f"{name}.json").write_text(content)
    return SplitRecord(
        annotations=f"{name}.json",
        image_root=f"images/{name}",
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        images=count,
        boxes=len(annotations),
        crowd_boxes=0,
        images_without_boxes=1,
        boxes_per_class={},
    )


@pytest.fixture(scope="session")
def settings() -> TrainSettings:
    return TrainSettings(device="cpu", precision="fp32", workers=0, checkpoint_interval=2, log_interval=1)


class RecipeMaker(Protocol):
    """Makes a resolved recipe by name; keyword options override keys of the recipe.

    The schedule is 6 iterations, unless the recipe's own counts epochs (``by_epochs``); ``unlabelled`` is the plain
    setting.
    """

    def __call__(
        self, name: str, file: str = TWIN, by_epochs: bool = False, unlabelled: float | None = None, **options: object
    ) -> Recipe: ...


@pytest.fixture
def make_recipe(recipes_in: Callable[[Path], RecipeMaker], tmp_path: Path) -> RecipeMaker:
    """The embedded recipes shrunk to 64 px, batches of 2 and a few channels."""
    return recipes_in(tmp_path)


@pytest.fixture(scope="session")
def recipes_in(squares: tuple[DatasetRecord, Path]) -> Callable[[Path], RecipeMaker]:
    """For a folder, what makes the shrunken recipes there."""
    small: dict[str, object] = {
        "input_size": (SIZE, SIZE),
        "train_dataloader.batch_size": 2,
        "train_dataloader.dataset.pipeline.2.scale": (SIZE, SIZE),
        "val_dataloader.dataset.pipeline.1.scale": (SIZE, SIZE),
        "model.backbone.base_channels": 8,  # oneDNN writes beyond its buffers for fewer on a CPU without AVX-512
        "model.neck.in_channels": [16, 32, 64],
        "model.neck.out_channels": 32,
        "model.bbox_head.in_channels": 32,
        "model.bbox_head.feat_channels": 32,
    }

    schedule: dict[str, object] = {"train_cfg.max_iters": 6, "train_cfg.val_interval": 3}

    def make(
        folder: Path,
        name: str,
        file: str = TWIN,
        by_epochs: bool = False,
        unlabelled: float | None = None,
        **options: object,
    ) -> Recipe:
        target = folder / f"{name}.json"
        shrunk = small if by_epochs else small | schedule
        plain = PlainSettings(unlabelled=unlabelled)
        write_resolved(target, resolve(Path("configs/students") / file, squares[0], shrunk | options, plain))
        return load_resolved(target)

    return lambda folder: partial(make, folder)
