"""A folder without val: what is taken from train, what stays together, and what is told of it."""

import json
from itertools import chain

import pytest

from pipeline.dataset_settings import CocoDirSettings, CocoSplitSettings, DataSettings
from pipeline.datasets.preparation import prepare
from pipeline.datasets.prepared import read_names
from pipeline.errors import DatasetError, SettingsError
from pipeline.settings import parse_params

IMAGES = 24


def whole(coco_folder, **keys):
    """A folder with one split: 24 images in three scenes, most of them with a cat, some with a dog."""
    folder = coco_folder()
    images = [
        {"id": place + 1, "file_name": f"scene{place % 3}_{place:02}.png", "width": 40, "height": 30}
        for place in range(IMAGES)
    ]
    for image in images:
        image.update({key: value(image["id"]) for key, value in keys.items()})
    annotations = [
        {"id": place + 1, "image_id": place + 1, "category_id": 7 if place % 4 == 0 else 3, "bbox": [1, 2, 10, 12]}
        for place in range(IMAGES)
    ]
    folder.splits = {"all": {**folder.splits["train"], "images": images, "annotations": annotations}}
    return folder.write()


def settings(root, own_test=None, **splits):
    custom = {
        "root": root,
        "train": {"annotations": "annotations/all.json", "images": "images/all"},
        "val": None,
        "test": own_test,
        "splits": splits,
    }
    return DataSettings.model_validate({"name": "coco_dir", "coco_dir": custom})


def names_of(out):
    return {name: read_names(out / f"{name}.json") for name in ("train", "val", "test")}


def test_val_and_test_are_taken_and_recorded(coco_folder, tmp_path):
    folder = whole(coco_folder)
    record = prepare(settings(folder.root), tmp_path / "out", tmp_path)
    names = names_of(tmp_path / "out")
    assert sorted(chain(*names.values())) == sorted(i["file_name"] for i in folder.splits["all"]["images"])
    assert {name: len(some) for name, some in names.items()} == {"train": 17, "val": 4, "test": 3}
    assert record.made_splits is not None
    assert record.made_splits.model_dump() == {
        "seed": 0,
        "val": 0.15,
        "test": 0.15,
        "group_by": None,
        "near_duplicates": "together",
        "groups": IMAGES,
        "largest_group": 1,
    }
    ids = [entry["id"] for entry in json.loads((tmp_path / "out/val.json").read_text())["annotations"]]
    assert ids == [int(name[7:9]) + 1 for name in names["val"]]  # those of the file
    told = [group.examples[0] for group in record.findings]
    assert any(
        "there is no val split: images are split by seed 0 into train 17, val 4, test 3 (data.coco_dir.splits); "
        "24 groups of up to 1 image(s) stay whole" in text
        for text in told
    )


def test_another_seed_gives_other_splits_and_the_same_one_the_same(coco_folder, tmp_path):
    folder = whole(coco_folder)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        prepare(settings(folder.root, seed=seed), tmp_path / name, tmp_path)
    assert names_of(tmp_path / "a") == names_of(tmp_path / "b") != names_of(tmp_path / "c")


def scenes(names):
    return {name: {file[:6] for file in some} for name, some in names.items()}


@pytest.mark.parametrize("pattern", [r"[^_]+", r"(scene\d)_\d+\.png"])
def test_a_part_of_the_names_keeps_images_together(coco_folder, tmp_path, pattern):
    folder = whole(coco_folder)
    record = prepare(settings(folder.root, group_by={"name": pattern}, val=0.3, test=0.3), tmp_path / "out", tmp_path)
    found = scenes(names_of(tmp_path / "out"))
    assert sorted(chain(*found.values())) == ["scene0", "scene1", "scene2"]
    assert record.made_splits.groups == 3
    assert record.made_splits.group_by == {"name": pattern}


def test_a_key_of_the_json_keeps_images_together(coco_folder, tmp_path):
    folder = whole(coco_folder, video=lambda number: f"v{number % 3}")
    prepare(settings(folder.root, group_by={"key": "video"}, val=0.3, test=0.3), tmp_path / "out", tmp_path)
    found = scenes(names_of(tmp_path / "out"))
    assert sorted(chain(*found.values())) == ["scene0", "scene1", "scene2"]


def test_images_without_their_group_are_named(coco_folder, tmp_path):
    folder = whole(coco_folder, video=lambda number: number % 3 if number != 7 else [1])
    with pytest.raises(DatasetError, match=r"image 7: scene0_06\.png has no group: video does not tell it"):
        prepare(settings(folder.root, group_by={"key": "video"}), tmp_path / "out", tmp_path)
    with pytest.raises(DatasetError, match=r"\(data\.coco_dir\.splits\.group_by\)"):
        prepare(settings(folder.root, group_by={"name": "scene0"}), tmp_path / "out", tmp_path)


def test_copies_stay_together_and_are_named(coco_folder, tmp_path):
    folder = whole(coco_folder)
    for place in range(12):
        folder.write_image("all", f"scene{place % 3}_{place:02}.png", seed=500 + place % 2)
    apart = settings(folder.root, near_duplicates="apart")
    for chosen in (settings(folder.root), apart):
        record = prepare(chosen, tmp_path / "out", tmp_path)
        assert record.made_splits.largest_group == 6  # equal content stays together in any case
    (told,) = [
        example
        for group in prepare(settings(folder.root), tmp_path / "out", tmp_path).findings
        for example in group.examples
        if "look like" in example
    ]
    assert "12 images look like another one and stay in one split with it, in 2 groups of up to 6" in told


def test_an_own_test_split_stays_and_gives_val_alone(coco_folder, tmp_path):
    folder = coco_folder()
    folder.splits = {"test": folder.splits["test"]}
    folder.write()
    whole(coco_folder)
    for name in ("21.png", "22.png"):
        folder.write_image("test", name, seed=int(name[:2]) + 1000)
    test = {"annotations": "annotations/test.json", "images": "images/test"}
    record = prepare(settings(folder.root, own_test=test), tmp_path / "out", tmp_path)
    assert record.made_splits.test is None
    assert list(record.splits) == ["train", "val", "test"]
    assert (record.splits["train"].images + record.splits["val"].images, record.splits["test"].images) == (IMAGES, 2)


def test_no_share_for_test_makes_val_the_test(coco_folder, tmp_path):
    folder = whole(coco_folder)
    record = prepare(settings(folder.root, val=0.25, test=0), tmp_path / "out", tmp_path)
    assert (record.made_splits.test, {*record.splits}) == (0, {"train", "val", "test"})
    assert record.splits["test"].sha256 == record.splits["val"].sha256


def test_too_few_images_are_an_error_with_a_cure(coco_folder, tmp_path):
    folder = coco_folder().write()
    custom = CocoDirSettings(
        root=folder.root,
        train=CocoSplitSettings(annotations="annotations/train.json", images="images/train"),
        val=None,
    )
    with pytest.raises(DatasetError, match=r"would have no box .*too few images, or too few groups; name splits"):
        prepare(DataSettings(name="coco_dir", coco_dir=custom), tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"val": 0.5, "test": 0.5}, "leave nothing for train"),
        ({"val": 0}, "greater than 0"),
        ({"group_by": {}}, "exactly one of name"),
        ({"group_by": {"name": "a", "key": "b"}}, "exactly one of name"),
        ({"group_by": {"name": "("}}, "no regular expression"),
        ({"near_duplicates": "maybe"}, "'together' or 'apart'"),
    ],
)
def test_settings_that_make_no_sense_are_explained(splits, message):
    with pytest.raises(SettingsError, match=message):
        parse_params({"data": {"name": "coco_dir", "coco_dir": {"splits": splits}}})
