import shutil

import pytest
from PIL import Image

from pipeline.datasets.coco import SourceSplit
from pipeline.datasets.validation import validate


def check(folder):
    splits = {
        name: SourceSplit(f"{name}.json", content, folder.folder(name)) for name, content in folder.splits.items()
    }
    return validate(splits)


def errors_of(findings):
    return [(finding.file, finding.item, finding.message) for finding in findings if finding.severity == "error"]


def warnings_of(findings):
    return [(finding.file, finding.item, finding.message) for finding in findings if finding.severity == "warning"]


def test_a_valid_data_set_has_no_findings_and_ordered_categories(coco_folder):
    checked, findings = check(coco_folder().write())
    assert findings == []
    assert list(checked) == ["train", "val", "test"]
    content = checked["train"].content
    assert content["categories"] == [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    assert [(entry["id"], entry["category_id"]) for entry in content["annotations"]] == [(1, 2), (2, 1), (3, 1)]
    assert [image["id"] for image in content["images"]] == [1, 2]
    assert len(set(checked["train"].hashes)) == 2


def test_missing_and_unreadable_images_are_errors(coco_folder):
    folder = coco_folder().write()
    (folder.folder("val") / "11.png").unlink()
    (folder.folder("val") / "12.png").write_bytes(b"no image")
    errors = errors_of(check(folder)[1])
    assert [error[:2] for error in errors] == [("val.json", "image 11"), ("val.json", "image 12")]
    assert "no such file" in errors[0][2]
    assert "no readable image" in errors[1][2]


def test_a_missing_image_folder_is_one_error(coco_folder):
    folder = coco_folder().write()
    shutil.rmtree(folder.folder("test"))
    errors = errors_of(check(folder)[1])
    assert [error[:2] for error in errors] == [("test.json", "images")]
    assert str(folder.folder("test")) in errors[0][2]


def test_another_size_than_the_file_has_is_an_error(coco_folder):
    folder = coco_folder().write()
    folder.write_image("train", "2.png", seed=2, width=30, height=40)
    ((file, item, message),) = errors_of(check(folder)[1])
    assert (file, item) == ("train.json", "image 2")
    assert "40x30" in message
    assert "30x40" in message


@pytest.mark.parametrize(
    "size",
    [
        {"width": 40},
        {"width": "40", "height": "30"},
        {"width": True, "height": None},
        {"width": 10**400, "height": 30},
        {"width": "A" * 10**6, "height": [30]},
    ],
)
def test_half_a_size_or_no_number_is_an_error(coco_folder, size):
    folder = coco_folder()
    folder.splits["train"]["images"][0] = {"id": 1, "file_name": "1.png", **size}
    assert [error[:2] for error in errors_of(check(folder.write())[1])] == [("train.json", "image 1")]


def test_a_size_the_json_does_not_give_comes_from_the_file(coco_folder):
    folder = coco_folder()
    for key in ("width", "height"):
        del folder.splits["train"]["images"][1][key]
    checked, findings = check(folder.write())
    assert [warning[:2] for warning in warnings_of(findings)] == [("train.json", "image 2")]
    assert errors_of(findings) == []
    image = checked["train"].content["images"][1]
    assert (image["width"], image["height"]) == (40, 30)


def test_whole_floats_as_size_become_whole_numbers(coco_folder):
    folder = coco_folder()
    folder.splits["train"]["images"][0].update(width=40.0, height=30.0)
    checked, findings = check(folder.write())
    assert findings == []
    assert isinstance(checked["train"].content["images"][0]["width"], int)


def test_exif_rotation_is_a_warning_and_counts_for_the_size(coco_folder):
    folder = coco_folder()
    folder.splits["train"]["images"][0].update(file_name="1.jpg", width=30, height=40)
    folder.splits["train"]["annotations"][0]["bbox"] = [0, 0, 30, 40]
    folder.splits["train"]["annotations"][1]["bbox"] = [0, 0, 30, 40]
    folder.write()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30), "red").save(folder.folder("train") / "1.jpg", exif=exif)
    findings = check(folder)[1]
    assert errors_of(findings) == []
    ((_, item, message),) = warnings_of(findings)
    assert item == "image 1"
    assert "EXIF" in message


def test_boxes_outside_the_image_are_errors(coco_folder):
    folder = coco_folder()
    for entry, box in zip(
        folder.splits["train"]["annotations"], ([35, 0, 10, 10], [-3, 0, 10, 10], [40, 29, 0.5, 1]), strict=True
    ):
        entry["bbox"] = box
    errors = errors_of(check(folder.write())[1])
    assert [error[1] for error in errors] == ["annotation 1", "annotation 2", "annotation 3"]
    assert all("reaches outside image" in error[2] for error in errors)
    assert all("(40x30 pixels); correct it, or set `data.coco_dir.boxes_outside: clip`" in error[2] for error in errors)


def test_boxes_outside_the_image_are_clipped_where_asked_and_each_is_listed(coco_folder):
    folder = coco_folder()
    entries = folder.splits["train"]["annotations"]
    entries[0].update(bbox=[35, -4, 10, 10], area=90)
    entries[1].update(bbox=[-0.5, 0, 10, 10], area=40)
    folder.write()
    splits = {
        name: SourceSplit(f"{name}.json", content, folder.folder(name), outside="clip")
        for name, content in folder.splits.items()
    }
    checked, findings = validate(splits)
    clipped = [(entry["bbox"], entry["area"]) for entry in checked["train"].content["annotations"]]
    assert clipped[:2] == [([35, 0, 5, 6], 30), ([0, 0, 9.5, 10], 40)]
    assert [finding.item for finding in findings if "clipped to it" in finding.message] == [
        "annotation 1",
        "annotation 2",
    ]
    assert errors_of(findings) == []


def test_a_box_of_which_clipping_leaves_nothing_is_an_error(coco_folder):
    folder = coco_folder()
    folder.splits["train"]["annotations"][0]["bbox"] = [41, 3, 10, 10]
    folder.write()
    split = SourceSplit("train.json", folder.splits["train"], folder.folder("train"), outside="clip")
    ((_, item, message),) = errors_of(validate({"train": split})[1])
    assert item == "annotation 1"
    assert "lies outside image 1 (40x30 pixels), and nothing of it is left to clip" in message


def test_shares_become_pixels_and_lose_their_rounding(coco_folder):
    folder = coco_folder()
    content = folder.splits["train"]
    for image in content["images"]:
        del image["width"], image["height"]
    boxes = [[0.5, 0.5, 0.25, 0.5], [-1e-6, 0.1, 1 + 2e-6, 0.9000001], [0.9, 0.9, 0.11, 0.1]]
    for entry, box in zip(content["annotations"], boxes, strict=True):
        entry["bbox"] = box
    folder.write()
    split = SourceSplit("train.json", content, folder.folder("train"), in_shares=True, named=lambda item: f"<{item}>")
    checked, findings = validate({"train": split})
    first, second, third = checked["train"].content["annotations"]
    assert (first["bbox"], first["area"]) == ([20, 15, 10, 15], 150)
    assert second["bbox"] == pytest.approx([0, 3, 40, 27])
    assert second["bbox"][0] == 0
    assert third["bbox"] == pytest.approx([36, 27, 4, 3])
    ((_, item, message),) = warnings_of(findings)
    assert item == "<annotation 3>"
    assert "reaches over the border of <image 2> (40x30 pixels); clipped to it" in message


def test_a_box_just_over_the_border_is_clipped_with_a_warning(coco_folder):
    folder = coco_folder()
    folder.splits["train"]["annotations"][0]["bbox"] = [-0.5, 20, 10, 10.75]
    checked, findings = check(folder.write())
    assert checked["train"].content["annotations"][0]["bbox"] == [0, 20, 9.5, 10]
    assert [warning[1] for warning in warnings_of(findings)] == ["annotation 1"]
    assert errors_of(findings) == []


def test_boxes_that_training_leaves_out_are_warned_about_and_kept(coco_folder):
    folder = coco_folder()
    folder.splits["train"]["annotations"][0]["bbox"] = [5, 5, 0.5, 9]
    checked, findings = check(folder.write())
    assert len(checked["train"].content["annotations"]) == 3
    assert "under 1 px" in warnings_of(findings)[0][2]


def test_crowd_boxes_and_images_without_boxes_are_kept_without_findings(coco_folder):
    folder = coco_folder()
    folder.splits["train"]["annotations"][1]["iscrowd"] = 1
    del folder.splits["train"]["annotations"][2]
    checked, findings = check(folder.write())
    assert errors_of(findings) == []
    assert [entry["iscrowd"] for entry in checked["train"].content["annotations"]] == [0, 1]
    assert len(checked["train"].content["images"]) == 2


def test_a_class_without_boxes_is_a_warning(coco_folder):
    folder = coco_folder()
    for content in folder.splits.values():
        content["categories"].append({"id": 9, "name": "horse"})
    findings = check(folder.write())[1]
    assert errors_of(findings) == []
    assert [(file, item) for file, item, _ in warnings_of(findings)] == [
        (f"{split}.json", "category 9") for split in ("train", "val", "test")
    ]


def test_annotation_0_is_renumbered_because_evaluators_take_0_for_no_match(coco_folder):
    folder = coco_folder()
    folder.splits["val"]["annotations"][0]["id"] = 0
    checked, findings = check(folder.write())
    assert [entry["id"] for entry in checked["val"].content["annotations"]] == [14, 12, 13]
    assert [warning[:2] for warning in warnings_of(findings)] == [("val.json", "annotation 0")]


def test_the_same_content_in_two_splits_is_an_error_naming_both(coco_folder):
    folder = coco_folder().write()
    shutil.copy(folder.folder("train") / "2.png", folder.folder("test") / "21.png")
    ((file, item, message),) = errors_of(check(folder)[1])
    assert (file, item) == ("test.json", "image 21")
    assert "also in train (image 2," in message


def test_the_same_path_in_two_splits_is_an_error_even_through_a_link(coco_folder):
    folder = coco_folder().write()
    shutil.rmtree(folder.folder("test"))
    folder.folder("test").symlink_to(folder.folder("train"))
    folder.splits["test"]["images"] = [
        {**image, "file_name": f"{number}.png"} for number, image in enumerate(folder.splits["test"]["images"], 1)
    ]
    assert [error[:2] for error in errors_of(check(folder)[1])] == [
        ("test.json", "image 21"),
        ("test.json", "image 22"),
    ]


def test_the_same_missing_path_in_two_splits_is_found_by_its_name(coco_folder):
    folder = coco_folder().write()
    (folder.folder("train") / "1.png").unlink()
    shutil.rmtree(folder.folder("val"))
    folder.folder("val").symlink_to(folder.folder("train"))
    folder.splits["val"]["images"][0]["file_name"] = "1.png"
    folder.splits["val"]["images"][1]["file_name"] = "3.png"
    folder.write_image("train", "3.png", seed=99)
    errors = errors_of(check(folder)[1])
    assert [(file, item) for file, item, message in errors if "also in train" in message] == [("val.json", "image 11")]


def test_equal_names_in_different_folders_are_no_finding(coco_folder):
    folder = coco_folder()
    for content in folder.splits.values():
        for number, image in enumerate(content["images"]):
            image["file_name"] = f"{number}.png"
    assert check(folder.write())[1] == []


def test_the_same_content_twice_in_one_split_is_a_warning(coco_folder):
    folder = coco_folder().write()
    shutil.copy(folder.folder("train") / "1.png", folder.folder("train") / "2.png")
    findings = check(folder)[1]
    assert errors_of(findings) == []
    assert [warning[:2] for warning in warnings_of(findings)] == [("train.json", "image 2")]


@pytest.mark.parametrize(
    "categories",
    [
        [{"id": 3, "name": "cat"}],
        [{"id": 3, "name": "dog"}, {"id": 7, "name": "cat"}],
        [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
    ],
)
def test_other_categories_than_the_first_split_has_are_an_error(coco_folder, categories):
    folder = coco_folder()
    folder.splits["test"]["categories"] = categories
    errors = errors_of(check(folder.write())[1])
    assert ("test.json", "categories") in [error[:2] for error in errors]


def test_the_order_in_which_categories_are_listed_does_not_matter(coco_folder):
    folder = coco_folder()
    folder.splits["val"]["categories"].reverse()
    assert check(folder.write())[1] == []


def test_a_split_that_is_no_coco_json_does_not_hide_the_findings_of_others(coco_folder):
    folder = coco_folder().write()
    folder.splits["train"] = ["nothing"]
    (folder.folder("val") / "11.png").unlink()
    errors = errors_of(check(folder)[1])
    assert [error[:2] for error in errors] == [("train.json", "whole file"), ("val.json", "image 11")]


def test_an_image_that_is_a_link_to_another_splits_is_the_same_image(coco_folder):
    folder = coco_folder().write()
    link = folder.folder("val") / "11.png"
    link.unlink()
    link.symlink_to(folder.folder("train") / "1.png")
    (folder.folder("train") / "1.png").write_bytes(b"no image")  # so that its content says nothing
    errors = [error[:2] for error in errors_of(check(folder)[1]) if "is also in train (image 1" in error[2]]
    assert errors == [("val.json", "image 11")]


@pytest.mark.parametrize("name", ["a.png", "a{}.png", "a{0}.png", "{", "}"])
def test_unreadable_images_are_of_one_kind_whatever_they_are_called(coco_folder, name):
    folder = coco_folder()
    for number, image in enumerate(folder.splits["train"]["images"]):
        image["file_name"] = f"{number}{name}.png"
    folder.write()
    paths = [folder.folder("train") / image["file_name"] for image in folder.splits["train"]["images"]]
    for path in paths:
        path.write_bytes(b"")
    findings = [finding for finding in check(folder)[1] if "readable" in finding.message]
    assert [finding.message.split(" is no")[0] for finding in findings] == [str(path) for path in paths]
    assert {finding.kind for finding in findings} == {"… is no readable image: the file is empty"}


OUTSIDE = "bbox … reaches outside … (…); correct it, or set `data.coco_dir.boxes_outside: clip` in params.yaml"


def test_kinds_are_told_apart_and_values_are_not(coco_folder):
    folder = coco_folder()
    boxes = folder.splits["train"]["annotations"]
    boxes += [{**boxes[0], "id": 50 + number, "bbox": [number, 2, 39, 5]} for number in range(2, 5)]
    boxes += [{**boxes[0], "id": 60 + number, "image_id": 70 + number} for number in range(1, 4)]
    found = [finding for finding in check(folder.write())[1] if finding.item >= "annotation 5"]
    assert sorted((finding.item, finding.kind) for finding in found) == [
        ("annotation 52", "bbox … reaches over the border of … (…); clipped to it"),
        ("annotation 53", OUTSIDE),
        ("annotation 54", OUTSIDE),
        *((f"annotation 6{number}", "image_id … is no usable image of this file") for number in range(1, 4)),
    ]
