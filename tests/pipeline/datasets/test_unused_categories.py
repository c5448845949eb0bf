"""The category that Roboflow's export puts before all others, and others without boxes."""

import pytest

from pipeline.datasets.box_entries import BoxEntries
from pipeline.datasets.findings import Findings
from pipeline.datasets.unused_categories import without_unused


def exported(**changes):
    """What an export of Roboflow looks like, and a class that nothing is labelled with."""
    content = {
        "images": [],
        "annotations": BoxEntries([{"id": 0, "image_id": 0, "category_id": 1, "bbox": [1, 2, 3, 4]}]),
        "categories": [
            {"id": 0, "name": "parts", "supercategory": "none"},
            {"id": 1, "name": "bolt", "supercategory": "parts"},
            {"id": 2, "name": "nut", "supercategory": "parts"},
        ],
    }
    return {**content, **changes}


def run(contents, setting):
    notes = Findings("train.json")
    return without_unused(contents, setting, notes), [(f.severity, f.item, f.message) for f in notes.found]


def names(content):
    return [entry["name"] for entry in content["categories"]]


def test_the_name_of_all_others_is_asked_about():
    contents = {"train": exported(), "val": exported()}
    found, ((severity, item, message),) = run(contents, None)
    assert found == contents
    assert (severity, item) == ("error", "category 0")
    assert message.startswith("'parts' has no box in any split and is the supercategory of others")
    assert "`data.coco_dir.unused_categories: keep`, or `drop`" in message


def test_kept_is_as_it_was():
    contents = {"train": exported()}
    assert run(contents, "keep") == (contents, [])


def test_dropped_is_every_category_without_a_box_in_any_split():
    other = exported(annotations=BoxEntries([{"id": 1, "image_id": 0, "category_id": 2, "bbox": [1, 2, 3, 4]}]))
    found, told = run({"train": exported(), "val": other}, "drop")
    assert [names(content) for content in found.values()] == [["bolt", "nut"]] * 2
    assert told == [
        ("warning", "category 0", "'parts' has no box in any split; left out (data.coco_dir.unused_categories: drop)")
    ]
    found, told = run({"train": exported()}, "drop")
    assert names(found["train"]) == ["bolt"]
    assert len(told) == 2


@pytest.mark.parametrize(
    "categories",
    [
        [{"id": 0, "name": "parts"}, {"id": 1, "name": "bolt"}],
        [{"id": 0, "name": "bolt", "supercategory": "bolt"}, {"id": 1, "name": "nut"}],
        [{"id": 5, "name": "parts"}, {"id": 1, "name": "bolt", "supercategory": "parts"}],
        [{"id": 1, "name": "parts", "supercategory": "parts"}],
        [{"id": True, "name": "parts"}, 7, None, {"name": "x"}],
        "none",
    ],
)
def test_nothing_is_asked_about_other_categories(categories):
    contents = {"train": exported(categories=categories)}
    assert run(contents, None) == (contents, [])


@pytest.mark.parametrize("content", [None, [], {"annotations": 3}, {"categories": [{"id": 0, "name": "a"}]}])
def test_what_is_no_coco_json_is_left_to_validation(content):
    for setting in (None, "keep", "drop"):
        assert run({"train": content}, setting) == ({"train": content}, [])


def test_boxes_of_any_kind_count_as_boxes():
    odd = BoxEntries([{"id": "x", "category_id": 0}, 5, {"category_id": [1]}])
    assert run({"train": exported(annotations=odd)}, None)[1] == []
