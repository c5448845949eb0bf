import hashlib
import json

import pytest

from pipeline.datasets.box_entries import BoxEntries
from pipeline.datasets.prepared import read_names
from pipeline.datasets.split_files import write_split
from pipeline.datasets.validation import CheckedSplit


def split_of(images: int, boxes: int) -> CheckedSplit:
    return CheckedSplit(
        {
            "images": [{"id": n, "file_name": f"é{n}.jpg", "width": 9, "height": 8} for n in range(1, images + 1)],
            "annotations": BoxEntries(
                {
                    "id": n,
                    "image_id": 1 + n % 2,
                    "category_id": 1 + n % 3 % 2,
                    "bbox": [n, 0.1 * n, 1.0, 2],
                    "area": 1e-7 * n,
                    "iscrowd": int(n % 10 == 0),
                }
                for n in range(1, boxes + 1)
            ),
            "categories": [{"id": 1, "name": 'a "dog"'}, {"id": 2, "name": "cat\u202f"}],
        },
        [f"hash {n}" for n in range(images)],
    )


@pytest.mark.parametrize(("images", "boxes"), [(0, 0), (1, 1), (3, 999), (3, 1000), (1001, 2500)])
def test_the_json_and_its_hash_are_those_of_the_whole_content(tmp_path, images, boxes):
    split = split_of(images, boxes)
    text = json.dumps({key: list(entries) for key, entries in split.content.items()})
    record = write_split("train", split, "images", tmp_path)
    assert (tmp_path / "train.json").read_text() == text
    assert record.sha256 == hashlib.sha256((text + "".join(split.hashes)).encode()).hexdigest()
    assert (record.annotations, record.image_root, record.images) == ("train.json", "images", images)


def test_crowd_boxes_and_empty_images_are_counted_by_themselves(tmp_path):
    record = write_split("val", split_of(5, 20), "images", tmp_path)
    assert (record.boxes, record.crowd_boxes, record.images_without_boxes) == (18, 2, 3)
    assert record.boxes_per_class == {'a "dog"': 12, "cat\u202f": 6}


def test_names_are_read_back_whatever_characters_they_have(tmp_path):
    split = split_of(4, 1)
    names = ["a b.jpg", "one\u2028line\u2029.jpg", " é/😀.jpg ", "'\"\\.jpg"]
    for entry, name in zip(split.content["images"], names, strict=True):
        entry["file_name"] = name
    write_split("train", split, "images", tmp_path)
    assert read_names(tmp_path / "train.json") == names
