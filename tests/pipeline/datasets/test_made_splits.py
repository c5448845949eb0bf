"""A folder without val: what is taken from train, what stays together, and what is told of it."""

import json
from itertools import chain

import cv2
import numpy as np
import pytest

from pipeline.dataset_settings import CocoDirSettings, CocoSplitSettings, DataSettings
from pipeline.datasets.preparation import prepare
from pipeline.datasets.prepared import read_names
from pipeline.errors import DatasetError, SettingsError
from pipeline.settings import parse_params
from tests.pipeline.datasets.voc_folder import VocFolder
from tests.pipeline.datasets.yolo_folder import YoloFolder

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
        "own_val_is_test": False,
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


def test_no_share_for_test_makes_no_test_split(coco_folder, tmp_path):
    folder = whole(coco_folder)
    record = prepare(settings(folder.root, val=0.25, test=0), tmp_path / "out", tmp_path)
    assert (record.made_splits.test, list(record.splits)) == (0, ["train", "val"])


def with_val(coco_folder, own_test=None, **splits):
    """The folder of :func:`whole` and a val of two images, of which a part of train is to choose."""
    given = coco_folder()
    given.splits = {name: given.splits[name] for name in ("val", "test")}
    given.write()
    root = whole(coco_folder).root
    for name in ("11.png", "12.png", "21.png", "22.png"):
        given.write_image("val" if name < "2" else "test", name, seed=int(name[:2]) + 1000)
    chosen = settings(root, own_test=own_test, **splits)
    val = {"annotations": "annotations/val.json", "images": "images/val"}
    content = chosen.model_dump() | {"choose_on": "train"}
    return DataSettings.model_validate({**content, "coco_dir": {**content["coco_dir"], "val": val}})


def test_a_part_of_train_chooses_and_val_is_the_test(coco_folder, tmp_path):
    chosen = with_val(coco_folder, val=0.25)
    record = prepare(chosen, tmp_path / "out", tmp_path)
    names = names_of(tmp_path / "out")
    assert {name: len(some) for name, some in names.items()} == {"train": 18, "val": 6, "test": 2}
    assert names["test"] == ["11.png", "12.png"]
    assert sorted(names["train"] + names["val"]) == sorted(f"scene{n % 3}_{n:02}.png" for n in range(IMAGES))
    roots = {name: split.image_root for name, split in record.splits.items()}
    assert roots == {name: str(chosen.coco_dir.root / "images" / of) for name, of in PLACES.items()}
    made = record.made_splits
    assert (made.own_val_is_test, made.val, made.test, made.seed, made.groups) == (True, 0.25, None, 0, IMAGES)
    (told,) = [group.examples[0] for group in record.findings if group.kind.startswith("val is the test split")]
    assert "(data.choose_on): images are split by seed 0 into train 18, val 6 (data.coco_dir.splits)" in told
    prepare(chosen, tmp_path / "again", tmp_path)
    assert names_of(tmp_path / "again") == names
    prepare(with_val(coco_folder, val=0.25, seed=1), tmp_path / "other", tmp_path)
    other = names_of(tmp_path / "other")
    assert (other["test"], len(other["val"])) == (names["test"], 7)  # 1.5 dogs and 4.5 cats, rounded by the seed
    assert other["val"] != names["val"]


PLACES = {"train": "all", "val": "all", "test": "val"}


def test_the_part_that_chooses_shares_no_scene_and_no_copy_with_train(coco_folder, tmp_path):
    folder = with_val(coco_folder, val=0.3, group_by={"name": "[^_]+"})
    prepare(folder, tmp_path / "out", tmp_path)
    found = scenes({name: some for name, some in names_of(tmp_path / "out").items() if name != "test"})
    assert found["train"] | found["val"] == {"scene0", "scene1", "scene2"}
    assert not found["train"] & found["val"]
    folder = with_val(coco_folder, val=0.5)
    writer = coco_folder()
    for place in range(12):
        # Brighter copies of one picture and the picture itself: alike, and not the same file.
        path = writer.write_image("all", f"scene{place % 3}_{place:02}.png", seed=700)
        cv2.imwrite(str(path), np.clip(cv2.imread(str(path)).astype(int) + place, 0, 255).astype(np.uint8))
    record = prepare(folder, tmp_path / "out", tmp_path)
    assert record.made_splits.largest_group == 12
    names = names_of(tmp_path / "out")
    numbers = {name: {int(file[7:9]) for file in names[name]} for name in ("train", "val")}
    assert sorted(len(some & {*range(12)}) for some in numbers.values()) == [0, 12]


def test_a_test_split_of_its_own_leaves_a_part_of_train_nothing_to_choose(coco_folder, tmp_path):
    test = {"annotations": "annotations/test.json", "images": "images/test"}
    with pytest.raises(DatasetError, match=r"data\.choose_on is 'train' .* has a val and a test split.* set .* to val"):
        prepare(with_val(coco_folder, own_test=test), tmp_path / "out", tmp_path)
    with pytest.raises(SettingsError, match=r"choose_on is 'train', .* and digits has one; set it to val"):
        parse_params({"data": {"name": "digits", "choose_on": "train"}})


def yolo(root):
    folder = YoloFolder(root).write()
    return {"root": folder.root, "train": ["images/train", "images/test"], "val": "images/val"}


def voc(root):
    folder = VocFolder(root)
    folder.splits = {"train": "abcd", "val": "ef"}
    return {"root": folder.write().root}


@pytest.mark.parametrize(("name", "write"), [("yolo_dir", yolo), ("voc_dir", voc)])
def test_labels_of_other_formats_are_chosen_on_a_part_of_train_as_well(name, write, tmp_path):
    chosen = {"name": name, "choose_on": "train", name: {**write(tmp_path / "own"), "splits": {"val": 0.5}}}
    record = prepare(DataSettings.model_validate(chosen), tmp_path / "out", tmp_path)
    assert {name: split.images for name, split in record.splits.items()} == {"train": 2, "val": 2, "test": 2}
    assert record.made_splits.own_val_is_test


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
