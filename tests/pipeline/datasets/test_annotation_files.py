import json

import pytest

from pipeline.datasets import annotation_files
from pipeline.datasets.annotation_files import read_annotation_file
from pipeline.datasets.box_entries import BoxEntries
from pipeline.datasets.json_files import RepeatedKeyError

IMAGE = {"id": 1, "file_name": "a.jpg", "width": 4, "height": 3.0}
BOX = {"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 1, 2, 2.5], "ignore": 0}
CATEGORY = {"id": 2, "name": "dog", "supercategory": "animal"}
CONTENT = {
    "info": {"year": 2017},
    "images": [{"license": 3, **IMAGE, "coco_url": "x"}, "no entry"],
    "annotations": [{"segmentation": [[1, 2, 3, 4, 5, 6]], **BOX, "keypoints": []}, {"bbox": "none"}, 5],
    "categories": [CATEGORY],
}
KEPT = {"images": [IMAGE, "no entry"], "annotations": [BOX, {"bbox": "none"}, 5], "categories": [CATEGORY]}


def write(path, content) -> None:
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("order", [1, -1])
def test_what_validation_reads_is_kept_whatever_the_order_of_the_lists(tmp_path, order):
    write(tmp_path / "a.json", dict([*CONTENT.items()][::order]))
    found = read_annotation_file(tmp_path / "a.json")
    assert found == KEPT
    assert isinstance(found["annotations"], BoxEntries)


def test_a_file_that_is_read_as_a_whole_gives_the_same_boxes(tmp_path, monkeypatch):
    write(tmp_path / "a.json", CONTENT)

    def refuse(path, lists):
        raise annotation_files.NotInPieces

    monkeypatch.setattr(annotation_files, "read_in_pieces", refuse)
    found = read_annotation_file(tmp_path / "a.json")
    assert {**found, "images": KEPT["images"]} == KEPT
    assert isinstance(found["annotations"], BoxEntries)


@pytest.mark.parametrize("content", [7, None, "text", [], {}, {"images": {}, "annotations": None}, {"categories": []}])
def test_what_is_no_coco_json_is_what_it_is(tmp_path, content):
    write(tmp_path / "a.json", content)
    assert read_annotation_file(tmp_path / "a.json") == content


def test_a_repeated_key_is_told_with_its_lines(tmp_path):
    text = json.dumps(CONTENT).replace('"year": 2017', '"year": 1,\n"year": 2')
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(RepeatedKeyError, match=r"info\.year in line 1 and again in line 2"):
        read_annotation_file(tmp_path / "a.json")
