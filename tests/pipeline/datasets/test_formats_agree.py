"""One data set in three formats is one data set: equal boxes, classes and images, through the whole data stage."""

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.folder_format import detect
from pipeline.datasets.preparation import prepare
from tests.pipeline.datasets.voc_folder import document

CLASSES = {3: "big cat", 7: "dog", 9: "zebra crossing"}
WIDTH, HEIGHT = 93, 61
Box = tuple[int, tuple[float, float, float, float]]


def cuts(length: int) -> st.SearchStrategy[list[float]]:
    places = st.integers(0, length) | st.floats(0, length, width=32)
    return st.lists(places, min_size=2, max_size=2).map(sorted).filter(lambda cut: cut[1] - cut[0] >= 1)


BOX = st.tuples(st.sampled_from([*CLASSES]), st.tuples(cuts(WIDTH), cuts(HEIGHT))).map(
    lambda drawn: (drawn[0], (drawn[1][0][0], drawn[1][1][0], drawn[1][0][1], drawn[1][1][1]))
)
# Each class is somewhere, or VOC would not know it; each split has a box.
FIRST = [(number, (1.0, 2.0, 20.0 + number, 30.0)) for number in CLASSES]


def write_image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8))


def as_coco(root: Path, splits: dict[str, list[list[Box]]]) -> None:
    for split, images in splits.items():
        content: dict[str, list[dict[str, object]]] = {"images": [], "annotations": []}
        content["categories"] = [{"id": number, "name": name} for number, name in CLASSES.items()]
        for place, boxes in enumerate(images):
            write_image(root / split / f"{place}.png", place + 1000 * (split == "val"))
            size = {"width": WIDTH, "height": HEIGHT}
            content["images"].append({"id": place, "file_name": f"{place}.png", **size})
            content["annotations"] += [
                {
                    "id": len(content["annotations"]) + number,
                    "image_id": place,
                    "category_id": category,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                }
                for number, (category, (x1, y1, x2, y2)) in enumerate(boxes, 1)
            ]
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/{split}.json").write_text(json.dumps(content))


def as_yolo(root: Path, splits: dict[str, list[list[Box]]]) -> None:
    numbers = {number: place for place, number in enumerate(CLASSES)}
    for split, images in splits.items():
        (root / split / "labels").mkdir(parents=True)
        for place, boxes in enumerate(images):
            write_image(root / split / "images" / f"{place}.png", place + 1000 * (split == "val"))
            rows = [
                f"{numbers[category]} {(x1 + x2) / 2 / WIDTH!r} {(y1 + y2) / 2 / HEIGHT!r} "
                f"{(x2 - x1) / WIDTH!r} {(y2 - y1) / HEIGHT!r}"
                for category, (x1, y1, x2, y2) in boxes
            ]
            if rows:
                (root / split / "labels" / f"{place}.txt").write_text("\n".join(rows))
    names = {"names": [*CLASSES.values()], "train": "../train/images", "val": "../val/images"}
    (root / "data.yaml").write_text(json.dumps(names))


def as_voc(root: Path, splits: dict[str, list[list[Box]]]) -> None:
    for split, images in splits.items():
        for place, boxes in enumerate(images):
            write_image(root / split / f"{place}.png", place + 1000 * (split == "val"))
            objects = [
                (CLASSES[category], (repr(x1 + 1), repr(y1 + 1), repr(x2), repr(y2)))
                for category, (x1, y1, x2, y2) in boxes
            ]
            (root / split / f"{place}.xml").write_text(document(objects, (WIDTH, HEIGHT)))


def prepared(write, splits: dict[str, list[list[Box]]], folder: Path) -> dict[str, object]:
    """Classes, and of each split the boxes of each image."""
    write(folder / "own", splits)
    record = prepare(detect(folder / "own"), folder / "out", folder)
    found: dict[str, object] = {"classes": record.classes}
    for split in ("train", "val"):
        content = json.loads((folder / "out" / f"{split}.json").read_text())
        names = {image["id"]: Path(image["file_name"]).name for image in content["images"]}
        boxes: dict[str, list[list[float]]] = {name: [] for name in names.values()}
        for entry in content["annotations"]:
            boxes[names[entry["image_id"]]].append([entry["category_id"], *entry["bbox"]])
        found[split] = boxes
    return found


@settings(max_examples=12)
@given(st.lists(st.lists(BOX, max_size=4), max_size=3), st.lists(st.lists(BOX, max_size=4), max_size=2))
def test_three_formats_give_the_same_boxes(train: list[list[Box]], val: list[list[Box]]) -> None:
    splits = {"train": [FIRST, *train], "val": [FIRST, *val]}
    results = []
    for write in (as_coco, as_yolo, as_voc):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "own").mkdir()
            results.append(prepared(write, splits, Path(folder)))
    expected, *others = results
    for found in others:
        assert found["classes"] == expected["classes"] == [*CLASSES.values()]
        for split in ("train", "val"):
            mine, its = found[split], expected[split]
            assert isinstance(mine, dict)
            assert isinstance(its, dict)
            assert mine.keys() == its.keys()
            for name, boxes in its.items():
                assert len(mine[name]) == len(boxes)
                for box, other in zip(mine[name], boxes, strict=True):
                    assert box == pytest.approx(other, abs=1e-3)
