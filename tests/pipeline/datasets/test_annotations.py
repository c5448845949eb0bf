import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.datasets.annotations import clip_box, read_annotations
from pipeline.datasets.findings import Findings

VALID = {
    "info": {"year": 2020},
    "images": [{"id": 4, "file_name": "a/b.jpg", "width": 40, "height": 30, "license": 1}],
    "annotations": [
        {
            "id": 9,
            "image_id": 4,
            "category_id": 2,
            "bbox": [1, 2, 3, 4],
            "area": 11.5,
            "iscrowd": 0,
            "segmentation": [],
        },
        {"id": 3, "image_id": 4, "category_id": 1, "bbox": [0.5, 0, 8, 2], "iscrowd": 1},
        {"id": 5, "image_id": 4, "category_id": 1, "bbox": [0.5, 0, 8, 2]},
    ],
    "categories": [{"id": 2, "name": "dog", "supercategory": "x"}, {"id": 1, "name": "cat"}],
}


def read(content):
    notes = Findings("a.json")
    return read_annotations(content, notes), notes.found


def change(path: str, value: object) -> dict:
    """A copy of VALID with ``value`` at ``path``, such as ``annotations.0.bbox``."""
    content = copy.deepcopy(VALID)
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    target = content
    for part in way:
        target = target[part]
    target[last] = value
    return content


def test_a_valid_file_is_read_without_findings():
    annotations, findings = read(VALID)
    assert findings == []
    assert annotations.categories == [(1, "cat"), (2, "dog")]
    assert annotations.images == {4: {"id": 4, "file_name": "a/b.jpg", "width": 40, "height": 30}}
    assert annotations.objects == [
        {"id": 9, "image_id": 4, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 11.5, "iscrowd": 0},
        {"id": 3, "image_id": 4, "category_id": 1, "bbox": [0.5, 0, 8, 2], "area": 16, "iscrowd": 1},
        {"id": 5, "image_id": 4, "category_id": 1, "bbox": [0.5, 0, 8, 2], "area": 16, "iscrowd": 0},
    ]


@pytest.mark.parametrize(
    "content", [None, 3, [], "text", {}, {"images": [], "annotations": []}, {**VALID, "images": {}}]
)
def test_what_is_no_coco_json_is_one_error(content):
    annotations, findings = read(content)
    assert annotations is None
    assert [(finding.severity, finding.file, finding.item) for finding in findings] == [
        ("error", "a.json", "whole file")
    ]
    assert "no COCO json" in findings[0].message


@pytest.mark.parametrize(
    ("path", "value", "item", "words"),
    [
        ("categories.0.id", "2", "categories[0]", "whole number as id"),
        ("categories.0.id", True, "categories[0]", "whole number as id"),
        ("categories.0.name", "", "category 2", "a text as name"),
        ("categories.0.name", "bad\ud800", "category 2", "a text as name"),
        ("categories.0", 7, "categories[0]", "whole number as id"),
        ("categories.0.id", 1, "category 1", "id is used twice: 'dog' and 'cat'"),
        ("categories.0.name", "cat", "category 1", "name 'cat' is used by two categories"),
        ("categories", [], "categories", "no usable category"),
        ("images", [], "images", "no usable image"),
        ("images.0.id", -4, "images[0]", "whole number (0 to 2^53) as id, got -4"),
        ("images.0.id", 4.0, "images[0]", "as id, got 4.0"),
        ("images.0.id", 10**40, "images[0]", "as id"),
        ("images.0.file_name", None, "image 4", "file_name must be a path inside"),
        ("images.0.file_name", "", "image 4", "file_name must be a path inside"),
        ("images.0.file_name", "/etc/x.jpg", "image 4", "file_name must be a path inside"),
        ("images.0.file_name", "a/../../x.jpg", "image 4", "file_name must be a path inside"),
        ("images.0.file_name", "a\0.jpg", "image 4", "file_name must be a path inside"),
        ("images.0.file_name", "a\0.jpg", "image 4", "got 'a\\x00.jpg'; U+0000 in it is a control character, rename"),
        ("images.0.file_name", "a\x85b", "image 4", "U+0085 in it is a control character"),
        ("images.0.file_name", "a\udc80.jpg", "image 4", "U+DC80 in it is half a surrogate pair"),
        ("categories.0.name", "a\tb", "category 2", "U+0009 in it is a control character, rename it without"),
        ("images", VALID["images"] * 2, "image 4", "id is used twice"),
        ("images", [*VALID["images"], {"id": 5, "file_name": "a/b.jpg"}], "image 5", "listed already, as image 4"),
        ("annotations.0.id", None, "annotations[0]", "whole number (0 to 2^53) as id, got None"),
        ("annotations.0.id", 3, "annotation 3", "id is used twice"),
        ("annotations.0.image_id", 77, "annotation 9", "image_id 77 is no usable image"),
        ("annotations.0.category_id", 3, "annotation 9", "category_id 3 is no usable category"),
        ("annotations.0.bbox", None, "annotation 9", "four finite numbers"),
        ("annotations.0.bbox", [1, 2, 3], "annotation 9", "four finite numbers"),
        ("annotations.0.bbox", [1, 2, "3", 4], "annotation 9", "four finite numbers"),
        ("annotations.0.bbox", [1, 2, float("nan"), 4], "annotation 9", "four finite numbers"),
        ("annotations.0.bbox", [float("inf"), 2, 3, 4], "annotation 9", "four finite numbers"),
        ("annotations.0.bbox", [1, 2, 10**400, 4], "annotation 9", "four finite numbers"),
        ("annotations.0.bbox", [1, 2, 0, 4], "annotation 9", "no area"),
        ("annotations.0.bbox", [1, 2, 3, -4], "annotation 9", "no area"),
        ("annotations.0.area", "big", "annotation 9", "area must be a number, got 'big'"),
        ("annotations.0.area", True, "annotation 9", "area must be a number, got True"),
        ("annotations.0.ignore", "yes", "annotation 9", "ignore must be 0 or 1, got 'yes'"),
        ("annotations.0.iscrowd", 2, "annotation 9", "iscrowd must be 0 or 1"),
        ("annotations", [], "annotations", "no usable box"),
        ("annotations", VALID["annotations"][1:2], "annotations", "no usable box"),
    ],
)
def test_each_problem_is_an_error_with_file_and_item(path, value, item, words):
    _, findings = read(change(path, value))
    matching = [finding for finding in findings if finding.item == item and words in finding.message]
    assert len(matching) == 1, findings
    assert matching[0].severity == "error"
    assert matching[0].file == "a.json"


@pytest.mark.parametrize("area", [0, 0.0, -1, float("nan"), float("inf"), 10**400, 1e11])
def test_an_area_that_no_box_can_have_becomes_width_times_height_with_one_warning(area):
    content = change("annotations.0.area", area)
    content["annotations"][2]["area"] = area
    annotations, findings = read(content)
    assert [entry["area"] for entry in annotations.objects] == [12, 16, 16]
    ((severity, item, message),) = [(finding.severity, finding.item, finding.message) for finding in findings]
    assert (severity, item) == ("warning", "annotations")
    assert message.startswith("2 of 3 have an `area` that no box can have")
    shown = repr(area) if area != 10**400 else "1" + 76 * "0" + "..."
    assert message.endswith(f"annotation 9 ({shown}), 5 ({shown})")


def test_a_warning_names_only_the_first_of_many_areas():
    content = change("annotations", [{**VALID["annotations"][0], "id": n, "area": 0} for n in range(1, 500)])
    (message,) = [finding.message for finding in read(content)[1]]
    assert message.startswith("499 of 499 have")
    assert message.endswith("annotation 1 (0), 2 (0), 3 (0), 4 (0), 5 (0), ...")


@pytest.mark.parametrize("ignore", [1, True, 1.0])
def test_an_object_to_ignore_becomes_a_crowd_box_with_a_warning(ignore):
    content = change("annotations.0.ignore", ignore)
    content["annotations"][1]["ignore"] = ignore  # a crowd box already: nothing changes
    annotations, findings = read(content)
    assert [entry["iscrowd"] for entry in annotations.objects] == [1, 1, 0]
    assert [(finding.severity, finding.item) for finding in findings] == [("warning", "annotations")]
    assert findings[0].message.startswith("1 of 3 have `ignore` and become crowd boxes")


@pytest.mark.parametrize("ignore", [0, False, None])
def test_an_object_that_is_not_to_ignore_stays(ignore):
    annotations, findings = read(change("annotations.0.ignore", ignore))
    assert findings == []
    assert annotations.objects[0]["iscrowd"] == 0


def test_objects_that_are_all_to_ignore_are_no_usable_box():
    findings = read(change("annotations", [{**VALID["annotations"][0], "ignore": 1}]))[1]
    assert [(finding.severity, finding.item) for finding in findings] == [
        ("warning", "annotations"),
        ("error", "annotations"),
    ]


# A macOS screenshot, a no-break, an ideographic and a zero-width space, private, unassigned, a joined emoji, an accent.
@pytest.mark.parametrize(
    "character", [*"\u202f\u00a0\u3000\u200b\ue000\u0378", "\U0001f469\u200d\U0001f680", "e\u0301"]
)
def test_names_may_have_any_character_that_is_no_control(character):
    content = change("images.0.file_name", f"at 9{character}AM.png")
    content["categories"][0]["name"] = f"a{character}b"
    annotations, findings = read(content)
    assert findings == []
    assert annotations.images[4]["file_name"] == f"at 9{character}AM.png"
    assert annotations.categories[1] == (2, f"a{character}b")


def test_one_annotation_can_have_several_problems_and_all_are_listed():
    content = change("annotations.0", {"id": 9, "image_id": 1, "category_id": 8, "bbox": [], "iscrowd": "no"})
    messages = [finding.message for finding in read(content)[1]]
    assert [message.split()[0] for message in messages] == ["image_id", "category_id", "bbox", "iscrowd"]


def test_long_values_are_cut_short_in_messages():
    _, findings = read(change("annotations.0.bbox", ["x" * 500]))
    assert len(findings[0].message) < 200


def test_boxes_inside_stay_and_rounding_over_the_border_is_clipped():
    assert clip_box((0, 0, 40, 30), 40, 30) == (0, 0, 40, 30)
    assert clip_box((-0.5, 29, 10, 1.75), 40, 30) == (0, 29, 9.5, 1)
    assert clip_box((-1.5, 0, 10, 10), 40, 30) is None
    assert clip_box((35, 0, 6.5, 10), 40, 30) is None


@given(
    st.tuples(*[st.floats(-5, 60), st.floats(-5, 60), st.floats(0.01, 60), st.floats(0.01, 60)]),
    st.integers(1, 50),
    st.integers(1, 50),
)
def test_a_clipped_box_is_inside_and_hardly_moved(box, width, height):
    clipped = clip_box(box, width, height)
    if clipped is None:
        assert min(box[:2]) < -1 or box[0] + box[2] > width + 1 or box[1] + box[3] > height + 1
        return
    assert clipped[0] >= 0
    assert clipped[1] >= 0
    assert clipped[0] + clipped[2] <= width + 1e-9
    assert clipped[1] + clipped[3] <= height + 1e-9
    assert abs(clipped[0] - box[0]) <= 1
    assert abs(clipped[0] + clipped[2] - box[0] - box[2]) <= 1 + 1e-9


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
PATHS = [
    *(f"images.0.{key}" for key in ("id", "file_name", "width", "height")),
    *(
        f"annotations.0.{key}"
        for key in ("id", "image_id", "category_id", "bbox", "bbox.2", "area", "iscrowd", "ignore")
    ),
    *("categories.0.id", "categories.0.name", "images.0", "annotations.0", "categories.0"),
    *("images", "annotations", "categories"),
]


@given(path=st.sampled_from(PATHS), value=JSON)
def test_whatever_is_in_the_json_is_findings_or_sound_annotations(path, value):
    annotations, findings = read(change(path, value))
    json.dumps([finding.model_dump_json() for finding in findings])
    if annotations is None or any(finding.severity == "error" for finding in findings):
        assert findings
        return
    assert all(entry["image_id"] in annotations.images for entry in annotations.objects)
    assert all(entry["category_id"] in dict(annotations.categories) for entry in annotations.objects)
    assert all(min(entry["bbox"][2:]) > 0 and entry["area"] > 0 for entry in annotations.objects)
    assert len(annotations.objects) == len({entry["id"] for entry in annotations.objects})
