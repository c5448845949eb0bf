import numpy as np
import pytest
from PIL import Image

from deploy.runtime.images import read_image
from pipeline.datasets.coco import SourceSplit
from pipeline.datasets.orientation import ORIENTATIONS
from pipeline.datasets.validation import validate

WHITE = (4, 6, 10, 5)  # x, y, width, height of the white patch on the pixels as they are stored


def photo(path, orientation, width=40, height=30):
    """A black picture with a white patch, stored as ``width`` x ``height`` and turned by EXIF when it is loaded."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x, y, w, h = WHITE
    pixels[y : y + h, x : x + w] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


def check(folder, setting):
    splits = {
        name: SourceSplit(f"{name}.json", content, folder.folder(name), setting)
        for name, content in folder.splits.items()
    }
    return validate(splits)


def errors_of(findings):
    return [(finding.file, finding.item, finding.message) for finding in findings if finding.severity == "error"]


def with_photo(coco_folder, orientation, split="train", stored=(40, 30), **size):
    """The folder with one turned image, whose only box is that of the white patch."""
    folder = coco_folder()
    content = folder.splits[split]
    image = content["images"][0]
    del image["width"], image["height"]
    image.update(size)
    content["annotations"] = [
        {**content["annotations"][0], "bbox": list(WHITE)},
        *[box for box in content["annotations"] if box["image_id"] != image["id"]],
    ]
    folder.write()
    photo(folder.folder(split) / image["file_name"], orientation, *stored)
    return folder


@pytest.mark.parametrize("stored", [(40, 30), (30, 30)])
@pytest.mark.parametrize("sized", [True, False])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_ignore_turns_boxes_onto_the_pixels_that_every_reader_gets(coco_folder, orientation, sized, stored):
    size = {"width": stored[0], "height": stored[1]} if sized else {}
    folder = with_photo(coco_folder, orientation, stored=stored, **size)
    checked, findings = check(folder, "ignore")
    assert errors_of(findings) == []
    content = checked["train"].content
    pixels = read_image(folder.folder("train") / "1.png")
    assert (content["images"][0]["height"], content["images"][0]["width"]) == pixels.shape[:2]
    box = content["annotations"][0]
    x, y, w, h = box["bbox"]
    assert (pixels[y : y + h, x : x + w] == 255).all()
    assert (pixels == 255).sum() == 3 * w * h == 3 * box["area"]


def test_a_size_that_is_the_rotated_one_needs_no_setting(coco_folder):
    folder = with_photo(coco_folder, 6, width=30, height=40)
    checked, findings = check(folder, None)
    assert errors_of(findings) == []
    assert checked["train"].content["annotations"][0]["bbox"] == list(WHITE)
    (warning,) = [finding for finding in findings if finding.item == "image 1"]
    assert "1.png is rotated by EXIF when it is loaded; its boxes must be those of the rotated image, 30x40" in str(
        warning
    )
    assert check(folder, "apply") == (checked, findings)


def test_a_size_that_is_the_stored_one_stops_with_the_setting(coco_folder):
    folder = with_photo(coco_folder, 6, width=40, height=30)
    ((file, item, message),) = errors_of(check(folder, None)[1])
    assert (file, item) == ("train.json", "image 1")
    assert (
        "1.png is stored as 40x30 and loaded as 30x40 pixels (EXIF orientation 6), its annotations say 40x30" in message
    )
    assert "set `data.coco_dir.orientation: ignore` in params.yaml" in message


@pytest.mark.parametrize(("setting", "size", "other"), [("apply", (40, 30), "ignore"), ("ignore", (30, 40), "apply")])
def test_a_size_that_contradicts_the_setting_is_an_error(coco_folder, setting, size, other):
    folder = with_photo(coco_folder, 8, width=size[0], height=size[1])
    ((_, item, message),) = errors_of(check(folder, setting)[1])
    assert item == "image 1"
    assert f"contradicts `data.coco_dir.orientation: {setting}`; set it to {other}" in message


def test_a_size_that_is_neither_is_an_error_of_its_own(coco_folder):
    folder = with_photo(coco_folder, 8, width=41, height=30)
    for setting in (None, "apply", "ignore"):
        ((_, item, message),) = errors_of(check(folder, setting)[1])
        assert (item, message[:40]) == ("image 1", "its annotations say 41x30 pixels, 1.png ")


@pytest.mark.parametrize(
    ("orientation", "stored", "size"),
    [(3, (40, 30), (40, 30)), (2, (40, 30), (40, 30)), (6, (30, 30), (30, 30)), (6, (40, 30), None)],
)
def test_where_no_size_tells_the_run_asks_once_for_all_splits(coco_folder, orientation, stored, size):
    sides = dict(zip(("width", "height"), size, strict=True)) if size else {}
    folder = with_photo(coco_folder, orientation, stored=stored, **sides)
    content = folder.splits["val"]["images"][1]
    photo(folder.folder("val") / content["file_name"], 4)
    ((file, item, message),) = errors_of(check(folder, None)[1])
    assert (file, item) == ("train.json", "images")
    assert message.startswith("2 image(s) with boxes are rotated by EXIF")
    assert (
        f"train.json: image 1 (1.png, orientation {orientation}), val.json: image 12 (12.png, orientation 4)" in message
    )
    assert "`data.coco_dir.orientation: apply`" in message
    assert errors_of(check(folder, "apply")[1]) == []


def test_nothing_is_asked_for_images_without_boxes(coco_folder):
    folder = with_photo(coco_folder, 3, width=40, height=30)
    folder.splits["train"]["annotations"] = folder.splits["train"]["annotations"][1:]
    assert errors_of(check(folder, None)[1]) == []


def test_a_box_over_the_border_is_told_as_the_json_has_it(coco_folder):
    folder = with_photo(coco_folder, 6, width=40, height=30)
    folder.splits["train"]["annotations"][0]["bbox"] = [35, 0, 10, 10]
    ((_, item, message),) = errors_of(check(folder, "ignore")[1])
    assert item == "annotation 1"
    assert message.startswith("bbox [35, 0, 10, 10] reaches outside image 1 (40x30 pixels); ")


def test_turned_fractions_stay_inside(coco_folder):
    folder = with_photo(coco_folder, 3, width=40, height=30)
    folder.splits["train"]["annotations"][0]["bbox"] = [0.1, 0.7, 39.9, 29.3]
    x, y, w, h = check(folder, "ignore")[0]["train"].content["annotations"][0]["bbox"]
    assert (w, h) == (39.9, 29.3)
    assert x >= 0
    assert y >= 0
    assert (x, y) == pytest.approx((0, 0), abs=1e-12)
