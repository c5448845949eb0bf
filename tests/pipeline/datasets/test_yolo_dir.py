"""YOLO's labels through the data stage: boxes, classes, layouts of the wild, and findings by file and line."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.dataset_settings import DataSettings
from pipeline.datasets.findings import Findings
from pipeline.datasets.preparation import prepare
from pipeline.datasets.source_files import find_source_files
from pipeline.datasets.yolo_dir import make
from pipeline.datasets.yolo_labels import read_labels
from pipeline.errors import DatasetError, SettingsError
from pipeline.records import DatasetRecord
from pipeline.settings import parse_params
from tests.pipeline.datasets.yolo_folder import YoloFolder


@pytest.fixture
def folder(tmp_path: Path) -> YoloFolder:
    return YoloFolder(tmp_path / "own")


def chosen(root: Path, **options: object) -> DataSettings:
    return DataSettings.model_validate({"name": "yolo_dir", "yolo_dir": {"root": root, **options}})


def prepared(folder: YoloFolder, **options: object) -> DatasetRecord:
    return prepare(chosen(folder.root, **options), folder.root.parent / "out", folder.root.parent)


def boxes(folder: YoloFolder, split: str = "train") -> dict[str, list[tuple[int, list[float]]]]:
    content = json.loads((folder.root.parent / f"out/{split}.json").read_text())
    found: dict[str, list[tuple[int, list[float]]]] = {image["file_name"]: [] for image in content["images"]}
    names = {image["id"]: image["file_name"] for image in content["images"]}
    for entry in content["annotations"]:
        assert entry["area"] == pytest.approx(entry["bbox"][2] * entry["bbox"][3])
        found[names[entry["image_id"]]].append((entry["category_id"], entry["bbox"]))
    return found


def refusal(folder: YoloFolder, **options: object) -> str:
    with pytest.raises(DatasetError) as caught:
        prepared(folder, **options)
    return str(caught.value)


def test_boxes_become_pixels_and_classes_keep_their_order(folder: YoloFolder) -> None:
    record = prepared(folder.write())
    assert (record.name, record.classes, record.findings) == ("yolo_dir", ["big cat", "dog"], [])
    assert {name: (split.images, split.boxes) for name, split in record.splits.items()} == dict.fromkeys(
        ("train", "val", "test"), (2, 3)
    )
    assert boxes(folder) == {
        "images/train/a.png": [(1, [15, 7.5, 10, 15]), (2, [0, 0, 8, 12])],
        "images/train/b.png": [(2, [0, 0, 40, 30])],
    }


def test_names_by_number_may_stand_in_any_order(folder: YoloFolder) -> None:
    folder.config["names"] = {1: "dog", 0: 7}
    assert prepared(folder.write()).classes == ["7", "dog"]


def test_an_image_without_a_label_file_has_no_boxes(folder: YoloFolder) -> None:
    folder.write()
    (folder.root / "labels/train/b.txt").unlink()
    (folder.root / "labels/val/b.txt").write_text("\n  \n")
    record = prepared(folder)
    assert record.splits["train"].images_without_boxes == record.splits["val"].images_without_boxes == 1


def move(folder: YoloFolder, pattern: str) -> None:
    """Labels and images of each split to other places, as ``pattern`` has it."""
    for kind in ("images", "labels"):
        for split in ("train", "val", "test"):
            target = folder.root / pattern.format(kind=kind, split=split)
            target.parent.mkdir(parents=True, exist_ok=True)
            for path in sorted((folder.root / kind / split).iterdir()):
                target.mkdir(exist_ok=True, parents=True)
                path.rename(target / path.name)


LAYOUTS = {
    "Roboflow's": ("{split}/{kind}", {"train": "../train/images", "val": "../val/images", "test": "../test/images"}),
    "a path from elsewhere": ("{kind}/{split}", {"path": "../datasets/own"}),
    "an absolute path from elsewhere": ("{kind}/{split}", {"path": "/content/datasets/own"}),
    "a path inside": ("data/{kind}/{split}", {"path": "data"}),
    "side by side": ("{split}", {"train": "train", "val": "val", "test": "test"}),
    "folders of folders": ("{split}/{kind}", {"train": "train", "val": "val", "test": "test"}),
    "lists of folders": ("{kind}/{split}", {"train": ["images/train"], "val": ["images/val"], "test": None}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_the_wild_are_found(folder: YoloFolder, layout: str) -> None:
    pattern, changes = LAYOUTS[layout]
    folder.write()
    move(folder, pattern)
    folder.config |= changes
    folder.write_text("data.yaml", json.dumps(folder.config))
    record = prepared(folder)
    assert record.splits["train"].boxes == record.splits["val"].boxes == 3
    assert [pixels for _, pixels in next(iter(boxes(folder).values()))] == [[15, 7.5, 10, 15], [0, 0, 8, 12]]


@pytest.mark.parametrize("form", ["./images/{}", "images/{}", "{root}/images/{}"])
@pytest.mark.parametrize("place", ["{}.txt", "lists/{}.txt"])
def test_lists_of_images_are_followed(folder: YoloFolder, form: str, place: str) -> None:
    if form.startswith("./") and "/" in place:
        form = "../images/{}"
    folder.write()
    for split in ("train", "val", "test"):
        names = [f"{split}/a.png", f"{split}/b.png"]
        lines = [form.format(name, root=folder.root) for name in names]
        folder.write_text(place.format(split), "\n".join(lines) + "\n\n")
        folder.config[split] = place.format(split)
    folder.write_text("data.yaml", json.dumps(folder.config))
    prepared(folder)
    assert list(boxes(folder)) == ["images/train/a.png", "images/train/b.png"]
    before = find_source_files(chosen(folder.root))
    assert before.folders[place.format("train")].files == 4  # type: ignore[union-attr]
    folder.write_text("labels/train/b.txt", "")
    assert find_source_files(chosen(folder.root)) != before


def test_a_file_of_names_and_folders_in_params(folder: YoloFolder, tmp_path: Path) -> None:
    folder.write()
    (folder.root / "data.yaml").unlink()
    folder.write_text("classes.txt", "big cat\ndog\n\n")
    record = prepared(folder, config="classes.txt", train="images/train", val="images/val")
    assert (record.classes, list(record.splits)) == (["big cat", "dog"], ["train", "val"])
    moved = (folder.root / "images").rename(tmp_path / "images")
    (folder.root / "labels").rename(tmp_path / "labels")
    record = prepared(folder, config="classes.txt", train=str(moved / "train"), val=str(moved / "val"))
    assert record.splits["train"].boxes == 3
    assert list(boxes(folder)) == ["a.png", "b.png"]
    both = prepared(
        folder, config="classes.txt", train=["../images/train", str(moved / "test")], val=str(moved / "val")
    )
    assert both.splits["train"].boxes == 6
    assert list(boxes(folder)) == ["train/a.png", "train/b.png", "test/a.png", "test/b.png"]


def test_a_config_in_another_place_names_what_is_in_the_root(folder: YoloFolder, tmp_path: Path) -> None:
    config = (folder.write().root / "data.yaml").rename(tmp_path / "pets.yaml")
    assert prepared(folder, config=str(config)).splits["train"].boxes == 3


def test_a_relative_root_is_recorded_so_that_the_project_can_move(folder: YoloFolder, monkeypatch) -> None:
    folder.write()
    monkeypatch.chdir(folder.root.parent)
    record = prepare(chosen(Path("own")), Path("data/prepared"), Path("cache"))
    assert record.splits["val"].image_root == "../../own"
    assert str(folder.root) not in Path("data/prepared/dataset.json").read_text()


def test_splits_of_params_take_the_place_of_the_files(folder: YoloFolder) -> None:
    folder.config |= {"train": "images", "val": "images"}
    message = refusal(folder.write())
    assert "val: is the same as train; name another one, or give data.yolo_dir.train alone" in message
    folder.rows |= {f"more/{number}": "0 0.5 0.5 0.5 0.5" for number in range(20)}
    record = prepared(folder.write(), train="images", splits={"near_duplicates": "apart"})
    assert record.made_splits is not None
    assert sum(split.images for split in record.splits.values()) == 26


def test_hidden_files_and_other_suffixes_are_no_images(folder: YoloFolder) -> None:
    folder.write()
    for name in (".ipynb_checkpoints/a.png", "__MACOSX/._a.png", "._a.png", "notes.txt", "Thumbs.db"):
        folder.write_text(f"images/train/{name}", "x")
    assert prepared(folder).splits["train"].images == 2


def test_polygons_are_taken_by_the_box_around_them(folder: YoloFolder) -> None:
    folder.rows["train/a"] = "0 0.25 0.5 0.5 0.25 0.75 0.5 0.5 0.75\n1 0.5 0.5 0.6 0.5 0.6 0.7\n0 .5 .5 .5 .5\n"
    record = prepared(folder.write())
    found = boxes(folder)["images/train/a.png"]
    assert [pixels for _, pixels in found] == [
        pytest.approx([10, 7.5, 20, 15]),
        pytest.approx([20, 15, 4, 6]),
        pytest.approx([10, 7.5, 20, 15]),
    ]
    (group,) = record.findings
    assert "2 rows are polygons or turned boxes; the upright box around each is taken" in group.examples[0]
    assert group.examples[0].endswith("the first: labels/train/a.txt line 1")


def test_of_a_pose_the_box_is_taken(folder: YoloFolder) -> None:
    folder.config["kpt_shape"] = [2, 3]
    points = " 0.5 0.5 2 0.1 900 0"
    folder.rows = {name: "".join(f"{row}{points}\n" for row in text.splitlines()) for name, text in folder.rows.items()}
    prepared(folder.write())
    assert boxes(folder)["images/train/b.png"] == [(2, [0, 0, 40, 30])]
    folder.rows["train/b"] = "1 0.5 0.5 1 1\n"
    assert "labels/train/b.txt line 1: needs class cx cy w h and 6 numbers of key points" in refusal(folder.write())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("0 0.5 0.5 0.25", "needs class cx cy w h, or a polygon of three points or more, got '0 0.5 0.5 0.25'"),
        ("0 0.5 0.5 0.25 0.5 0.9", "needs class cx cy w h, or a polygon"),
        ("0,0.5,0.5,0.25,0.5", "needs numbers with spaces between them"),
        ("cat 0.5 0.5 0.25 0.5", "needs numbers with spaces between them"),
        ("0 nan 0.5 0.25 0.5", "needs numbers with spaces between them"),
        ("0 1e999 0.5 0.25 0.5", "needs shares of the image's width and height (0 to 1), not pixels"),
        ("0 0_1 0.5 0.25 0.5", "needs numbers with spaces between them"),
        ("0 - 0.5 0.25 0.5", "needs numbers with spaces between them"),
        ("0.5 0.5 0.5 0.25 0.5", "needs the number of a class first"),
        ("-1 0.5 0.5 0.25 0.5", "needs the number of a class first"),
        ("2 0.5 0.5 0.25 0.5", "class 2 is none of the data set's"),
        ("0 20 15 10 10", "needs shares of the image's width and height (0 to 1), not pixels"),
        ("0 0.5 0.5 0.25 0", "has no area"),
        ("0 0.5 0.5 -0.25 0.5", "has no area"),
        ("0 1.2 0.5 0.5 0.5", "reaches outside images/train/a.png (40x30 pixels); correct it, or set `data.yolo_dir."),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(folder: YoloFolder, row: str, message: str) -> None:
    folder.rows["train/a"] = f"\n0 0.5 0.5 0.5 0.5\n{row}\n"
    told = refusal(folder.write())
    assert "own (train): labels/train/a.txt line 3: " in told
    assert message in told
    assert "has 1 error(s)" in told


def test_boxes_outside_and_without_area_follow_the_settings(folder: YoloFolder) -> None:
    folder.rows["train/a"] = "0 0.9 0.5 0.4 0.5\n1 0.5 0.5 0 0.5\n"
    record = prepared(folder.write(), boxes_outside="clip", boxes_without_area="drop")
    assert boxes(folder)["images/train/a.png"] == [(1, [pytest.approx(28), 7.5, pytest.approx(12), 15])]
    told = sorted(group.examples[0] for group in record.findings)
    assert told[0].startswith("labels/train/a.txt line 1: bbox [")
    assert "reaches over the border of images/train/a.png (40x30 pixels); clipped to it" in told[0]
    assert told[1].startswith("labels/train/a.txt line 2: bbox [0.5, 0.25, 0.0, 0.5] has no area; left out (data.yolo")


def test_many_findings_of_a_kind_are_one(folder: YoloFolder) -> None:
    folder.rows |= {f"train/{number}": "0 0.5 0.5 1.04 0.5" for number in range(30)}
    (group,) = prepared(folder.write()).findings
    assert (group.count, group.file) == (30, f"{folder.root} (train)")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("names: [a, no]", "names: class 1 is False and no text; put its name in quotes"),
        ("names: {a: b}", "names: 'a' is no number of a class"),
        ("names: 3", "names: needs the classes, as a list or by number, got 3"),
        ("train: images/train", "names: needs the classes"),
        ("names: [cat, cat]\ntrain: images/train", "the name 'cat' is used by two categories"),
        ("names: [cat, dog]\nnc: 3", "nc: says 3 classes, names has 2"),
        ("names: [cat, dog]", "train: names no images; add the key train, or give the folder of images in params.yaml"),
        ("names: [cat, dog]\nval: images/val", "train: there is val or test and no train"),
        ("names: [cat, dog]\ntrain: 7", "train: needs a folder or a list of images (.txt), or several, got 7"),
        ("names: [cat, dog]\ntrain: [[a]]", "train: needs a folder or a list of images (.txt), or several, got ['a']"),
        ("names: [cat, dog]\ntrain: none", "train: 'none': no such folder; looked for"),
        ("names: [cat, dog]\ntrain: ../../other", "leads out of"),
        ("names: [cat, dog]\ntrain: /etc", "leads out of"),
        ("names: [cat, dog]\npath: /\ntrain: etc", "train: 'etc': no such folder"),
        ("names: [cat, dog]\ntrain: data.yaml", "data.yaml: is no folder of images that can be read"),
        ("names: [cat, dog]\ntrain: labels", "labels: holds no image"),
        ("names: !!python/object/apply:os.system [true]", "whole file: not valid YAML"),
        ("names: [a]\nnames: [b]", "is given again"),
        ("- a", "holds ['a'], not a mapping"),
        ("\x00", "whole file: not valid YAML"),
        ("names: [cat, dog]\ntrain: '" + "x" * 5000 + "'", "no such folder"),
        ('names: [cat, dog]\ntrain: "a\\0b"', "leads out of"),
    ],
)
def test_a_bad_config_is_explained(folder: YoloFolder, config: str, message: str) -> None:
    folder.write().write_text("data.yaml", config)
    told = refusal(folder)
    assert message in told
    assert "data.yaml" in told or "own (train)" in told


def test_a_missing_config_names_the_keys(folder: YoloFolder) -> None:
    told = refusal(folder)
    assert "own/data.yaml: whole file: no such file; check data.yolo_dir.root and config in params.yaml" in told
    assert find_source_files(chosen(folder.root)).annotations == {"data.yaml": None}


def test_a_test_split_that_is_named_and_not_there_is_told(folder: YoloFolder) -> None:
    folder.config["test"] = "../test/images"
    record = prepared(folder.write())
    assert list(record.splits) == ["train", "val"]
    told = [example for group in record.findings for example in group.examples]
    assert "test: '../test/images': no such folder; taken for a data set without a test split" in told
    given = {"train": "images/train", "val": "images/val", "test": "none"}
    assert "test: 'none': no such folder; looked for" in refusal(folder, **given)


def test_lists_do_not_lead_out(folder: YoloFolder) -> None:
    folder.config["train"] = "train.txt"
    folder.write().write_text("train.txt", "images/train/a.png\n../../etc/x.png\n/etc/passwd.png\n")
    told = refusal(folder)
    assert "train.txt line 2: '../../etc/x.png' leads out of the data set" in told
    assert "train.txt line 3: '/etc/passwd.png' leads out of the data set" in told
    folder.write_text("train.txt", "images/train/gone.png\n")
    assert "images/train/gone.png: no such file" in refusal(folder)


def test_labels_in_another_place_are_missed_as_a_whole(folder: YoloFolder) -> None:
    folder.write()
    (folder.root / "labels").rename(folder.root / "annotations")
    assert "labels: none of 2 images has a label file; looked in images/train" in refusal(folder)


def test_labels_without_an_image_are_told(folder: YoloFolder) -> None:
    folder.write()
    (folder.root / "images/train/b.png").unlink()
    folder.write_text("labels/train/classes.txt", "cat")
    folder.write_text("labels/train/empty.txt", "")
    (group,) = prepared(folder).findings
    assert group.examples == ["labels/train/b.txt: there is no image of this name; its boxes are left out"]


def test_a_turned_photo_is_asked_about(folder: YoloFolder) -> None:
    folder.write()
    exif = Image.Exif()
    exif[0x0112] = 6
    path = folder.root / "images/train/a.png"
    with Image.open(path) as image:
        image.copy().save(path, exif=exif)
    told = refusal(folder)
    assert "own (train): images/train/a.png (images/train/a.png, orientation 6)" in told
    assert "`data.yolo_dir.orientation: apply`" in told
    prepared(folder, orientation="apply")
    assert boxes(folder)["images/train/a.png"][1] == (2, pytest.approx([0, 0, 6, 16]))
    prepared(folder, orientation="ignore")
    # The patch at the top left of what is stored is at the top right once it is turned to the right.
    assert boxes(folder)["images/train/a.png"][1] == (2, pytest.approx([30 - 12, 0, 12, 8]))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: folder.write_text("labels/train/a.txt", "0 0.5 0.5 0.25 0.26\n"),
        lambda folder: (folder.root / "labels/val/b.txt").unlink(),
        lambda folder: folder.write_text("data.yaml", json.dumps({**folder.config, "names": ["cat", "dog"]})),
        lambda folder: folder.write_image("images/test/c.png", 99),
        lambda folder: os.utime(folder.root / "images/train/a.png", ns=(0, 1)),
    ],
)
def test_a_change_is_noticed(folder: YoloFolder, change) -> None:
    before = find_source_files(chosen(folder.write().root))
    assert before == find_source_files(chosen(folder.root))
    assert {name: found.files for name, found in before.folders.items() if found} == dict.fromkeys(
        [f"{kind}/{split}" for kind in ("images", "labels") for split in ("train", "val", "test")], 2
    )
    change(folder)
    assert find_source_files(chosen(folder.root)) != before


def test_settings_are_checked() -> None:
    for section, message in (
        ({"val": "a"}, "give train too, or none"),
        ({"splits": {"group_by": {"key": "video"}}}, "there is no json; use name"),
    ):
        with pytest.raises(SettingsError, match=message):
            parse_params({"data": {"name": "yolo_dir", "yolo_dir": section}})


SIDE = st.integers(1, 6000)
CUTS = st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True).map(sorted)


@given(st.lists(st.tuples(CUTS, CUTS), min_size=1, max_size=5), SIDE, SIDE)
def test_boxes_come_back_from_rows(shares, width: int, height: int) -> None:
    pixels = [[x[0] * width, y[0] * height, x[1] * width, y[1] * height] for x, y in shares]
    rows = [
        f"1 {(x1 + x2) / 2 / width!r} {(y1 + y2) / 2 / height!r} {(x2 - x1) / width!r} {(y2 - y1) / height!r}"
        for x1, y1, x2, y2 in pixels
    ]
    notes = Findings("a.txt")
    found = read_labels("\n".join(rows).encode(), "a.txt", {1}, 0, notes)
    assert notes.found == []
    for row, (x1, y1, x2, y2) in zip(found, pixels, strict=True):
        x, y, w, h = row.box
        back = [x * width, y * height, (x + w) * width, (y + h) * height]
        assert back == pytest.approx([x1, y1, x2, y2], abs=1e-3)


@given(st.binary(max_size=80) | st.text("0123456789.-+eE \n\tnaif_,", max_size=80).map(str.encode))
def test_whatever_comes_in_is_rows_or_findings(content: bytes) -> None:
    notes = Findings("a.txt")
    rows = read_labels(content, "a.txt", {0, 1}, 0, notes)
    assert all(row.category in (0, 1) and max(map(abs, row.box)) < 5 for row in rows)
    assert [row.line for row in rows] == sorted({row.line for row in rows})
    assert all(found.item.startswith("a.txt") for found in notes.found)


def test_findings_name_lines_far_down_a_split(folder: YoloFolder) -> None:
    folder.rows |= {f"train/{number:03}": "0 .5 .5 .5 .5\n\n1 .5 .5 .5 .5\n" for number in range(50)}
    source = make(chosen(folder.write().root), Path(), Path())
    named = source.splits["train"].named
    assert named is not None
    assert [named(f"annotation {number}") for number in (1, 2, 3, 99, 100, 103, 104)] == [
        "labels/train/000.txt line 1",
        "labels/train/000.txt line 3",
        "labels/train/001.txt line 1",
        "labels/train/049.txt line 1",
        "labels/train/049.txt line 3",
        "labels/train/b.txt line 1",
        "annotation 104",
    ]
    assert (named("image 50"), named("image 51"), named("images")) == (
        "images/train/049.png",
        "images/train/a.png",
        "images",
    )
