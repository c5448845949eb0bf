"""Pictures without boxes: what joins them, what is left out and why."""

import contextlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.datasets import CocoDataset
from PIL import Image

from pipeline.dataset_settings import DataSettings
from pipeline.datasets import image_files
from pipeline.datasets.preparation import prepare
from pipeline.datasets.prepared import read_dataset, read_names, split_paths
from pipeline.datasets.unlabelled import find_heaps
from pipeline.errors import DatasetError, SettingsError
from pipeline.records import DatasetRecord
from pipeline.settings import parse_params
from pipeline.storage import sha256_of
from tests.pipeline.datasets.conftest import CocoFolder


def data_of(root: Path, heap: Path | None = None, **more: Any) -> DataSettings:
    places = {name: {"annotations": f"annotations/{name}.json", "images": f"images/{name}"} for name in SPLITS}
    splits = {"near_duplicates": more.pop("near_duplicates", "together")}
    custom = {"root": root, **places, "splits": splits}
    return DataSettings.model_validate({"name": "coco_dir", "unlabelled": heap, "coco_dir": custom, **more})


SPLITS = ("train", "val", "test")


def scene(seed: int) -> np.ndarray:
    """Soft blobs of colour, as a photo has them."""
    small = np.random.default_rng(seed).integers(0, 200, (7, 9, 3), np.uint8)
    return cv2.resize(small, (40, 30), interpolation=cv2.INTER_CUBIC)


def write(path: Path, seed: int, brighter: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.clip(scene(seed).astype(int) + brighter, 0, 255).astype(np.uint8))
    return path


@pytest.fixture
def folder(coco_folder) -> CocoFolder:
    """A data set of six photos: 1 and 2 are train's, 11 and 12 val's, 21 and 22 test's, each ``scene(number)``."""
    made = coco_folder().write()
    for split, content in made.splits.items():
        for image in content["images"]:
            write(made.folder(split) / image["file_name"], image["id"])
    return made


@pytest.fixture
def heap(tmp_path: Path) -> Path:
    return tmp_path / "a heap of photos"


def listed(out: Path) -> list[Path]:
    """The files of the pictures without boxes, found as every reader of a split finds them."""
    record = read_dataset(out).unlabelled
    assert record is not None
    annotations, root = split_paths(out, record)
    content = json.loads(annotations.read_text())
    assert content["annotations"] == []
    assert content["categories"] == json.loads((out / "train.json").read_text())["categories"]
    assert [entry["id"] for entry in content["images"]] == list(range(1, record.images + 1))
    names = [entry["file_name"] for entry in content["images"]]
    assert read_names(annotations) == names
    for entry in content["images"]:
        assert cv2.imread(str(root / entry["file_name"])).shape == (entry["height"], entry["width"], 3)
    return [root / name for name in names]


def told(record: DatasetRecord) -> list[str]:
    return [example for group in record.findings for example in group.examples]


def test_without_the_settings_nothing_is_written_of_it(folder, tmp_path):
    record = prepare(data_of(folder.root), tmp_path / "out", tmp_path)
    assert record.unlabelled is None
    assert list(json.loads((tmp_path / "out/dataset.json").read_text())) == [
        *("name", "title", "composed", "classes", "splits", "credits", "made_splits", "findings")
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["dataset.json", *(f"{split}.{suffix}" for split in SPLITS for suffix in ("json", "txt"))]
    )


def test_a_folder_is_searched_for_pictures_of_any_name(folder, heap, tmp_path):
    names = ["b.png", "a.png", "deep/er/a.png", "é 😀/it's 100% [x] {y}.PNG", "deep/a\u202fb.png"]
    for number, name in enumerate(names):
        write(heap / name, 100 + number)
    (heap / "notes.txt").write_text("no picture")
    write(heap / ".thumbnails/a.png", 200)
    record = prepare(data_of(folder.root, heap), tmp_path / "out", tmp_path)
    assert listed(tmp_path / "out") == [heap / name for name in sorted(names)]
    assert (record.unlabelled.images, record.unlabelled.boxes, record.unlabelled.images_without_boxes) == (5, 0, 5)
    assert record.unlabelled.boxes_per_class == {"cat": 0, "dog": 0}
    assert list(record.splits) == [*SPLITS]
    assert record.findings == []
    plain = prepare(data_of(folder.root), tmp_path / "plain", tmp_path)
    assert record.splits == plain.splits


def test_a_relative_folder_is_recorded_so_that_the_project_can_move(folder, heap, tmp_path, monkeypatch):
    write(heap / "a.png", 100)
    monkeypatch.chdir(tmp_path)
    prepare(data_of(Path("custom"), Path(heap.name)), Path("data/prepared"), Path("cache"))
    assert read_names(Path("data/prepared/unlabelled.json")) == [f"../../{heap.name}/a.png"]
    assert listed(Path("data/prepared")) == [Path("data/prepared/../..") / heap.name / "a.png"]


def test_training_reads_pictures_of_both_places_without_boxes(folder, heap, tmp_path):
    write(heap / "a.png", 100)
    record = prepare(data_of(folder.root, heap, labelled_share=0.5), tmp_path / "out", tmp_path)
    annotations, root = split_paths(tmp_path / "out", record.unlabelled)
    with contextlib.redirect_stdout(io.StringIO()):
        found = CocoDataset(
            ann_file=str(annotations),
            data_prefix={"img": str(root)},
            metainfo={"classes": tuple(record.classes)},
            filter_cfg={"filter_empty_gt": False},
            pipeline=[],
        )
    infos = [found.get_data_info(place) for place in range(len(found))]
    assert [info["instances"] for info in infos] == [[], []]
    assert [Path(info["img_path"]).is_file() for info in infos] == [True, True]


def test_what_is_in_a_split_or_looks_like_what_is_measured_is_left_out_and_named(folder, heap, tmp_path):
    write(heap / "new.png", 100)
    write(heap / "of_train.png", 2)
    write(heap / "of_val.png", 11)
    write(heap / "of_test.png", 22)
    write(heap / "again.png", 100)
    write(heap / "brighter_train.png", 1, brighter=20)
    write(heap / "brighter_val.png", 12, brighter=20)
    write(heap / "brighter_test.png", 21, brighter=20)
    record = prepare(data_of(folder.root, heap), tmp_path / "out", tmp_path)
    assert [path.name for path in listed(tmp_path / "out")] == ["again.png", "brighter_train.png"]
    together = "data.coco_dir.splits.near_duplicates: apart keeps it"
    assert sorted(told(record)) == [
        f"brighter_test.png: looks like 21.png of test, on which is measured or chosen; left out; {together}",
        f"brighter_val.png: looks like 12.png of val, on which is measured or chosen; left out; {together}",
        "new.png: has the content of again.png of unlabelled, which is there already; left out",
        "of_test.png: has the content of 22.png of test, on which is measured or chosen; left out",
        "of_train.png: has the content of 2.png of train, which has boxes; left out",
        "of_val.png: has the content of 11.png of val, on which is measured or chosen; left out",
    ]
    assert {group.file for group in record.findings} == {str(heap)}
    apart = prepare(data_of(folder.root, heap, near_duplicates="apart"), tmp_path / "apart", tmp_path)
    assert apart.unlabelled.images == 4
    assert not any("looks like" in text for text in told(apart))


def test_a_folder_that_holds_the_data_set_gives_what_is_in_no_split(folder, tmp_path, monkeypatch):
    new = write(folder.folder("train") / "unused.png", 100)
    (folder.root / "images/link.png").symlink_to(folder.folder("val") / "11.png")
    read: list[Path] = []
    inspect_one = image_files.inspect_one

    def noted(path: Path, with_look: bool = False) -> object:
        read.append(path)
        return inspect_one(path, with_look)

    monkeypatch.setattr(image_files, "inspect_one", noted)
    record = prepare(data_of(folder.root, folder.root), tmp_path / "out", tmp_path)
    assert listed(tmp_path / "out") == [new]
    # What is in a split is read for it and not again.
    assert sorted(read) == sorted([*(path for split in SPLITS for path in folder.folder(split).iterdir())])
    assert told(record) == [
        "val: 3 files are the images of val themselves; left out; the first: images/link.png",
        "test: 2 files are the images of test themselves; left out; the first: images/test/21.png",
        "train: 2 files are the images of train themselves; left out; the first: images/train/1.png",
    ]


def test_what_cannot_be_used_is_left_out_with_its_reason(folder, heap, tmp_path):
    write(heap / "good.png", 100)
    (heap / "broken.jpg").write_bytes(write(heap / "good.png", 100).read_bytes()[:50])
    Image.fromarray(scene(5)).save(heap / "moving.gif")
    (heap / "gone.png").symlink_to(heap / "nowhere")
    os.mkfifo(heap / "pipe.png")
    write(heap / "two\nlines.png", 101)
    odd = os.fsencode(heap) + b"/\xff.png"
    Path(os.fsdecode(odd)).write_bytes((heap / "two\nlines.png").read_bytes())
    record = prepare(data_of(folder.root, heap), tmp_path / "out", tmp_path)
    assert [path.name for path in listed(tmp_path / "out")] == ["good.png"]
    said = dict(text.split(": ", 1) for text in told(record))
    assert {group.severity for group in record.findings} == {"warning"}
    assert sorted(said) == ["'\\udcff.png'", "'two\\nlines.png'", "broken.jpg", "gone.png", "moving.gif", "pipe.png"]
    assert all(text.endswith("; left out") for text in said.values())
    assert "U+000A in it is a control character, rename it without" in said["'two\\nlines.png'"]
    assert "not an image that can be decoded" in said["broken.jpg"]
    assert "is GIF, which is not taken for training; convert it to PNG or JPEG" in said["moving.gif"]
    assert "no such file" in said["gone.png"]
    assert "not a regular file" in said["pipe.png"]
    assert (tmp_path / "out/findings.txt").read_text().count("; left out") == 6


def test_a_photo_that_exif_turns_has_the_sides_that_its_reader_sees(folder, heap, tmp_path):
    heap.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene(100)).save(heap / "turned.jpg", exif=exif)
    prepare(data_of(folder.root, heap), tmp_path / "out", tmp_path)
    (entry,) = json.loads((tmp_path / "out/unlabelled.json").read_text())["images"]
    assert (entry["width"], entry["height"]) == (30, 40)
    assert len(listed(tmp_path / "out")) == 1


def problem(data: DataSettings, tmp_path: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        prepare(data, tmp_path / "data/prepared", tmp_path)
    assert not (tmp_path / "data/prepared").exists()
    return str(caught.value)


def test_a_folder_that_cannot_be_is_an_error_with_key_path_and_cure(folder, heap, tmp_path):
    cure = "correct it in params.yaml, or set it to null"
    assert f"data.unlabelled: {heap}: no such folder; {cure}" in problem(data_of(folder.root, heap), tmp_path)
    heap.mkdir()
    (heap / "notes.txt").write_text("")
    assert f"data.unlabelled: {heap} holds no picture (.avif, " in problem(data_of(folder.root, heap), tmp_path)
    file = heap / "notes.txt"
    assert f"data.unlabelled: {file}: no such folder" in problem(data_of(folder.root, file), tmp_path)
    for part in (tmp_path / "data", tmp_path / "data/prepared/images"):
        message = problem(data_of(folder.root, part), tmp_path)
        assert f"data.unlabelled: {part} holds what this stage writes, or is part of it" in message
    message = problem(data_of(folder.root, tmp_path / "a\nb"), tmp_path)
    assert "cannot be named in a list; U+000A in it is a control character" in message
    write(heap / "of_val.png", 11)
    assert "none of its 1 pictures is left" in problem(data_of(folder.root, heap), tmp_path)
    assert "of_val.png: has the content of 11.png" in (tmp_path / "data/prepared_findings.txt").read_text()


def test_a_folder_that_may_not_be_read_is_an_error(folder, heap, tmp_path, monkeypatch):
    write(heap / "deep/a.png", 100)

    def refused(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.scandir", refused)  # root may read every folder
    _, (error,) = find_heaps(data_of(folder.root, heap), None, tmp_path / "out")
    assert (error.severity, error.item) == ("error", "data.unlabelled")
    assert error.message.startswith(f"{heap}: cannot be read: Permission denied; correct it")


def test_images_that_lose_their_boxes_and_a_folder_are_one_list(folder, heap, tmp_path):
    write(heap / "new.png", 100)
    write(heap / "of_train.png", 1)
    record = prepare(data_of(folder.root, heap, labelled_share=0.5), tmp_path / "out", tmp_path)
    (kept,) = read_names(tmp_path / "out/train.json")
    (lost,) = {"1.png", "2.png"} - {kept}
    assert listed(tmp_path / "out") == [folder.folder("train") / lost, heap / "new.png"]
    assert (record.splits["train"].images, record.unlabelled.images) == (1, 2)
    assert "of_train.png: has the content of 1.png of train, which has boxes; left out" in told(record)
    assert any(text.startswith("data.labelled_share: boxes of 1 of 2 images are used") for text in told(record))
    hashes = {sha256_of(path) for path in listed(tmp_path / "out")}
    assert len(hashes) == 2
    assert record.unlabelled.sha256 not in {split.sha256 for split in record.splits.values()}


@pytest.mark.parametrize("share", [0.1, 0.25])
def test_an_embedded_set_keeps_the_boxes_of_a_share(photo_cache, tmp_path, share):
    digits = {"image_size": 96, "train": 40, "val": 2, "test": 2}
    record = prepare(DataSettings.model_validate({"digits": digits, "labelled_share": share}), tmp_path, photo_cache)
    labelled = round(share * 40)
    assert (record.splits["train"].images, record.unlabelled.images) == (labelled, 40 - labelled)
    names = [f"images/train/{name}" for name in read_names(tmp_path / "train.json")]
    unlabelled = read_names(tmp_path / "unlabelled.json")
    assert sorted(names + unlabelled) == [f"images/train/{number:05}.png" for number in range(40)]
    assert len(listed(tmp_path)) == 40 - labelled


def test_tiles_of_photos_without_crowns_join_the_trees(photo_cache, tmp_path):
    trees = {"tile_size": 512, "overlap": 0, "unlabelled": True}
    record = prepare(DataSettings.model_validate({"name": "trees", "trees": trees}), tmp_path, photo_cache)
    assert [path.name for path in listed(tmp_path)] == ["SOAP_031_0_0.png", "SOAP_061_0_0.png"]
    assert list(record.splits) == ["train", "val", "test", "ood"]
    assert record.credits[-1] == "Pictures without boxes: NEON's site SOAP, of the same package"
    assert read_names(tmp_path / "unlabelled.json")[0] == "images/unlabelled/SOAP_031_0_0.png"


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["", "deep/", "a b/"]), st.integers(0, 99)),
        st.tuples(st.sampled_from([1, 2, 11, 12, 21, 22, 101, 102, 103]), st.sampled_from([0, 0, 8])),
        min_size=1,
        max_size=9,
    ),
    st.sampled_from([1.0, 0.5]),
    st.booleans(),
)
@settings(max_examples=15, deadline=None)
def test_nothing_that_is_measured_or_chosen_on_is_ever_among_them(pictures, share, within):
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "custom"
        folder = CocoFolder(root).write()
        numbers = {split: [image["id"] for image in content["images"]] for split, content in folder.splits.items()}
        for split, own in numbers.items():
            for number in own:
                write(folder.folder(split) / f"{number}.png", number)
        heap = root if within else Path(place) / "heap"
        for (below, name), (seed, brighter) in pictures.items():
            write(heap / f"{below}x{name}.png", seed, brighter)
        evaluated = {*numbers["val"], *numbers["test"]}
        new = {(seed, brighter) for seed, brighter in pictures.values() if seed not in evaluated}
        new -= {(number, 0) for number in numbers["train"]}
        out = Path(place) / "out"
        if not new:
            with pytest.raises(DatasetError, match="is left, each for a reason"):
                prepare(data_of(root, heap, labelled_share=share), out, root)
            return
        prepare(data_of(root, heap, labelled_share=share), out, root)
        found = [sha256_of(path) for path in listed(out)]
        expected = {sha256_of(write(Path(place) / "copy.png", *one)) for one in new}
        lost = {sha256_of(folder.folder("train") / name) for name in ("1.png", "2.png")}
        lost -= {sha256_of(folder.folder("train") / name) for name in read_names(out / "train.json")}
        assert sorted(found) == sorted(expected | lost)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"labelled_share": 0}, "greater than 0"),
        ({"labelled_share": 1.5}, "less than or equal to 1"),
        ({"labelled_seed": -1}, "greater than or equal to 0"),
        ({"unlabelled": 3}, "unlabelled"),
    ],
)
def test_settings_that_make_no_sense_are_explained(section, message):
    with pytest.raises(SettingsError, match=message):
        parse_params({"data": section})
