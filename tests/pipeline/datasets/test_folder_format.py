"""The format of a folder, found by what is in it; and what is said where it is not found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.dataset_settings import DataSettings
from pipeline.datasets.folder_format import class_names, detect, split_names
from pipeline.datasets.preparation import prepare
from pipeline.datasets.split_words import split_of
from pipeline.errors import DatasetError
from tests.pipeline.datasets.conftest import CocoFolder
from tests.pipeline.datasets.test_yolo_dir import move
from tests.pipeline.datasets.voc_folder import VocFolder, document
from tests.pipeline.datasets.yolo_folder import YoloFolder


def section_of(root: Path, **options: str) -> dict[str, object]:
    settings = detect(root, **options)
    return settings.model_dump(mode="json", exclude_unset=True)[settings.name]


def coco(root: Path, jsons: dict[str, str], images: dict[str, str]) -> Path:
    """COCO's json of each split at a place of its own, and its images in a folder of its own."""
    folder = CocoFolder(root)
    folder.splits = {name: folder.splits[name] for name in jsons}
    folder.write()
    for split in jsons:
        target = root / jsons[split]
        target.parent.mkdir(parents=True, exist_ok=True)
        (root / f"annotations/{split}.json").rename(target)
        for path in sorted(folder.folder(split).iterdir()):
            (root / images[split]).mkdir(parents=True, exist_ok=True)
            path.rename(root / images[split] / path.name)
        if root / images[split] != folder.folder(split):
            folder.folder(split).rmdir()
    return root


COCO_LAYOUTS = {
    "datasets/README.md's": (
        {name: f"annotations/{name}.json" for name in ("train", "val", "test")},
        {name: name for name in ("train", "val", "test")},
    ),
    "COCO's own": (
        {name: f"annotations/instances_{name}2017.json" for name in ("train", "val")},
        {name: f"{name}2017" for name in ("train", "val")},
    ),
    "Roboflow's": (
        {"train": "train/_annotations.coco.json", "val": "valid/_annotations.coco.json"},
        {"train": "train", "val": "valid"},
    ),
    "CVAT's": (
        {"train": "annotations/instances_Train.json", "val": "annotations/instances_Validation.json"},
        {"train": "images/Train", "val": "images/Validation"},
    ),
    "all images in one folder": (
        {"train": "train_coco.json", "val": "val_coco.json"},
        {"train": "images", "val": "images"},
    ),
    "folders in images": (
        {"train": "annotations/instances_train.json", "val": "annotations/instances_val.json"},
        {"train": "images/train", "val": "images/val"},
    ),
    "COCO's folders under images": (
        {name: f"annotations/person_{name}2017.json" for name in ("train", "val")},
        {name: f"images/{name}2017" for name in ("train", "val")},
    ),
}


@pytest.mark.parametrize("layout", COCO_LAYOUTS)
def test_cocos_json_is_found_in_every_layout(tmp_path: Path, layout: str) -> None:
    jsons, images = COCO_LAYOUTS[layout]
    root = coco(tmp_path / "own", jsons, images)
    (root / "package.json").write_text('{"images": 3}')
    (root / "README.roboflow.txt").write_text("x")
    settings = detect(root)
    assert (settings.name, settings.coco_dir.root) == ("coco_dir", root)
    found = {name: (split.annotations, split.images) for name, split in settings.coco_dir.named_splits().items()}
    assert found == {name: (jsons[name], images[name]) for name in jsons}
    assert split_names(settings) == set(jsons)
    assert class_names(settings) == ("cat", "dog")
    assert prepare(settings, tmp_path / "out", tmp_path).splits["train"].boxes == 3


@pytest.mark.parametrize(
    ("annotations", "images"),
    [
        ("_annotations.coco.json", "."),
        ("result.json", "images"),
        ("annotations/instances_default.json", "images/default"),
    ],
)
def test_one_json_of_all_images_is_split_here(tmp_path: Path, annotations: str, images: str) -> None:
    root = coco(tmp_path / "own", {"train": annotations}, {"train": images})
    assert section_of(root) == {
        "root": str(root),
        "train": {"annotations": annotations, "images": images},
        "val": None,
        "test": None,
    }


def test_yolos_data_yaml_is_found(tmp_path: Path) -> None:
    folder = YoloFolder(tmp_path / "own").write()
    assert section_of(folder.root) == {"root": str(folder.root), "config": "data.yaml"}
    settings = detect(folder.root)
    assert (class_names(settings), split_names(settings)) == (("big cat", "dog"), {"train", "val", "test"})
    (folder.root / "data.yaml").rename(folder.root / "pets.yaml")
    folder.write_text("params.yaml", "data: {}")
    folder.write_text("broken.yaml", "[")
    assert section_of(folder.root)["config"] == "pets.yaml"


def test_yolos_folders_with_a_list_of_names_are_found(tmp_path: Path) -> None:
    folder = YoloFolder(tmp_path / "own").write()
    (folder.root / "data.yaml").unlink()
    with pytest.raises(DatasetError, match=r"yolo_dir: there are images with labels, and no data\.yaml"):
        detect(folder.root)
    folder.write_text("classes.txt", "big cat\ndog\n")
    assert section_of(folder.root) == {
        "root": str(folder.root),
        "config": "classes.txt",
        **{split: f"images/{split}" for split in ("train", "val", "test")},
    }
    move(folder, "{kind}")
    for split in ("train", "val", "test"):
        (folder.root / "images" / split).rmdir()
    assert section_of(folder.root) == {"root": str(folder.root), "config": "classes.txt", "train": "images"}
    assert split_names(detect(folder.root)) == {"train"}


def test_yolos_flat_folder_is_found(tmp_path: Path) -> None:
    folder = YoloFolder(tmp_path / "own")
    for number in range(30):
        folder.write_image(f"{number}.png", number)
        folder.write_text(f"{number}.txt", "1 0.5 0.5 0.5 0.5")
    folder.write_text("data.yaml", "names: [big cat, dog]")
    assert section_of(folder.root) == {"root": str(folder.root), "config": "data.yaml", "train": "."}
    record = prepare(detect(folder.root), tmp_path / "out", tmp_path)
    assert sum(split.images for split in record.splits.values()) == 30


def darknet(root: Path, folders: dict[str, str], names: str) -> Path:
    folder = YoloFolder(root)
    for split, place in folders.items():
        for number in range(3):
            folder.write_image(f"{place}/{number}.png", number + 10 * len(split))
            folder.write_text(f"{place}/{number}.txt", "1 0.5 0.5 0.5 0.5")
    folder.write_text(names, "big cat\ndog\n")
    return root


def test_exports_for_darknet_are_found(tmp_path: Path) -> None:
    root = darknet(tmp_path / "cvat", {"train": "obj_train_data"}, "obj.names")
    assert section_of(root) == {"root": str(root), "config": "obj.names", "train": "obj_train_data"}
    folders = {"train": "train", "val": "valid"}
    root = darknet(tmp_path / "own", folders, "train/_darknet.labels")
    assert section_of(root) == {"root": str(root), "config": "train/_darknet.labels", **folders}
    assert class_names(detect(root)) == ("big cat", "dog")
    assert prepare(detect(root), tmp_path / "out", tmp_path).splits["val"].boxes == 3
    for path in (root / "train").glob("*.txt"):
        path.unlink()
    with pytest.raises(DatasetError, match="yolo_dir: there are images with labels, and no"):
        detect(root)


SETS = {split: f"ImageSets/Main/{split}.txt" for split in ("train", "val", "test")}
BOTH = {"annotations": "Annotations", "images": "JPEGImages"}


def test_vocs_own_layout_is_found(tmp_path: Path) -> None:
    folder = VocFolder(tmp_path / "own").write()
    named = {split: {**BOTH, "image_set": path} for split, path in SETS.items()}
    assert section_of(folder.root) == {"root": str(folder.root), **named}
    (folder.root / "Annotations/e.xml").unlink()  # the list of a test split whose annotations are kept back
    assert section_of(folder.root) == {"root": str(folder.root), **named, "test": None}
    folder.write_text(SETS["train"].replace("train", "trainval"), "a\nb\nc\n")
    (folder.root / SETS["val"]).unlink()
    whole = {**BOTH, "image_set": "ImageSets/Main/trainval.txt"}
    assert section_of(folder.root) == {"root": str(folder.root), "train": whole, "val": None}
    assert class_names(detect(folder.root)) == ()


def to_splits(folder: VocFolder, place: str) -> None:
    for split, names in folder.splits.items():
        for name in names:
            for kind, file in (("annotations", f"{name}.xml"), ("images", f"{name}.png")):
                target = folder.root / place.format(kind=kind, split=split) / file
                target.parent.mkdir(parents=True, exist_ok=True)
                (folder.root / {"annotations": "Annotations", "images": "JPEGImages"}[kind] / file).rename(target)
    for name in ("Annotations", "JPEGImages"):
        (folder.root / name).rmdir()


@pytest.mark.parametrize("place", ["{split}", "{kind}/{split}", "{split}/{kind}", "{kind}", "."])
def test_vocs_relatives_are_found(tmp_path: Path, place: str) -> None:
    folder = VocFolder(tmp_path / "own").write()
    for path in (folder.root / "ImageSets/Main").iterdir():
        path.unlink()
    to_splits(folder, place)
    splits = ("train", "val", "test") if "split" in place else ("train",)
    found = section_of(folder.root)
    assert {name: found[name] for name in splits} == {
        name: {kind: place.format(kind=kind, split=name) for kind in ("annotations", "images")} for name in splits
    }
    assert split_names(detect(folder.root)) == set(splits)


def test_a_corner_at_0_says_how_corners_are_counted(tmp_path: Path) -> None:
    folder = VocFolder(tmp_path / "own")
    folder.files["b"] = document([("dog", (0, 3, 9, 9))])
    assert section_of(folder.write().root)["corners"] == "zero_based"


def empty(root: Path) -> None:
    (root / "pictures").mkdir(parents=True)


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (empty, r"coco_dir: no json with the lists images.*\n  yolo_dir: no YAML.*\n  voc_dir: no XML file"),
    "two jsons of a split": (
        lambda root: coco(
            root,
            {"train": "annotations/a_train.json", "val": "annotations/b_train.json"},
            {"train": "train", "val": "val"},
        ),
        r"annotations/a_train\.json, annotations/b_train\.json for train, where one json is needed; write the section",
    ),
    "val alone": (
        lambda root: coco(root, {"val": "annotations/x_val.json"}, {"val": "val"}),
        "no file for train, where one json is needed",
    ),
    "no images": (
        lambda root: coco(root, {"train": "all.json"}, {"train": "far/away/from/here"}),
        r"the images of all\.json \('1\.png', \.\.\.\) are in none of \., images; write the section data\.coco_dir",
    ),
    "two lists of names": (
        lambda root: [YoloFolder(root).write_text(name, "names: [a]\ntrain: x") for name in ("a.yaml", "b.yaml")],
        r"a\.yaml, b\.yaml all name classes; write the section data\.yolo_dir",
    ),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_is_not_found_says_what_was_looked_for(tmp_path: Path, case: str) -> None:
    write, message = UNFIT[case]
    write(tmp_path / "own")
    with pytest.raises(DatasetError, match=message):
        detect(tmp_path / "own")


def test_no_folder_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"none: no such folder; give the folder of your data set with --data"):
        detect(tmp_path / "none")


def test_of_several_formats_the_user_chooses(tmp_path: Path) -> None:
    root = YoloFolder(tmp_path / "own").write().root
    VocFolder(root).write()
    with pytest.raises(
        DatasetError, match=r"own: could be yolo_dir or voc_dir; say which with --format \(make: FORMAT"
    ):
        detect(root)
    assert detect(root, "voc_dir").name == "voc_dir"
    with pytest.raises(DatasetError, match=r"looked for:\n  coco_dir: no json"):
        detect(root, "coco_dir")


@pytest.mark.parametrize("name", ["x" * 5000, "a\\u0000b", "/etc/passwd"])
def test_odd_names_in_a_json_are_no_images(tmp_path: Path, name: str) -> None:
    root = tmp_path / "own"
    root.mkdir()
    content = {"images": [{"id": 1, "file_name": "@"}], "annotations": [{}], "categories": [{}]}
    (root / "all.json").write_text(json.dumps(content).replace("@", name))
    if name.startswith("/"):
        assert section_of(root)["val"] is None  # what leads out of the folder, the data stage refuses
    else:
        with pytest.raises(DatasetError):
            detect(root)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("instances_train2017", "train"),
        ("instances_Train", "train"),
        ("valid", "val"),
        ("ValidationSet", "val"),
        ("test-dev2017", None),
        ("trainval", None),
        ("restrain", None),
        ("_annotations.coco", None),
    ],
)
def test_names_of_splits(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize("name", ["digits", "trees"])
def test_an_embedded_data_set_has_all_splits_and_no_classes_before_it_is_made(name: str) -> None:
    settings = DataSettings.model_validate({"name": name})
    assert (class_names(settings), split_names(settings)) == ((), {"train", "val", "test"})
