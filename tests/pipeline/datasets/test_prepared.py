from pathlib import Path

import pytest

from pipeline.datasets.prepared import names_file, read_dataset, read_names, recorded_root, split_paths
from pipeline.errors import DatasetError, PipelineError
from pipeline.records import SplitRecord


def split(image_root: str) -> SplitRecord:
    return SplitRecord(
        annotations="val.json",
        image_root=image_root,
        sha256="0" * 64,
        images=1,
        boxes=1,
        crowd_boxes=0,
        images_without_boxes=0,
        boxes_per_class={"a": 1},
    )


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ("images/val", "data/prepared/images/val"),
        ("../../datasets/custom/val", "datasets/custom/val"),
        ("/photos/val", "/photos/val"),
    ],
)
def test_one_rule_leads_to_every_kind_of_image_folder(recorded, expected):
    annotations, image_root = split_paths(Path("data/prepared"), split(recorded))
    assert annotations == Path("data/prepared/val.json")
    assert image_root == Path(expected)


@pytest.mark.parametrize(
    ("folder", "recorded"),
    [
        ("data/scratch/images/val", "images/val"),
        ("datasets/custom/val", "../../datasets/custom/val"),
        ("data/prepared/val", "val"),
        ("/photos/val", "/photos/val"),
    ],
)
def test_what_is_recorded_of_a_folder_leads_back_to_it(folder, recorded):
    assert recorded_root(Path(folder), Path("data/scratch"), Path("data/prepared")) == recorded
    found = split_paths(Path("data/prepared"), split(recorded))[1]
    assert found == Path(folder.replace("scratch", "prepared"))


def test_a_missing_data_set_names_the_record(tmp_path):
    with pytest.raises(PipelineError, match=r"dataset\.json: no such record"):
        read_dataset(tmp_path)


def test_names_stand_beside_the_json_one_a_line(tmp_path):
    assert names_file(tmp_path / "val.json") == tmp_path / "val.txt"
    (tmp_path / "val.txt").write_text("b.jpg\na/c.jpg\n")
    assert read_names(tmp_path / "val.json") == ["b.jpg", "a/c.jpg"]
    (tmp_path / "val.txt").write_text("")
    assert read_names(tmp_path / "val.json") == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"a.jpg\nb.j", "no list of file names, one a line"),
        (b"a.jpg\n\nb.jpg\n", "no list of file names, one a line"),
        (b"\xff\n", "no text in UTF-8"),
    ],
)
def test_a_missing_or_damaged_list_of_names_says_what_makes_it_anew(tmp_path, content, words):
    if content is not None:
        (tmp_path / "val.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=rf"val\.txt: {words}.*; run `dvc repro data`"):
        read_names(tmp_path / "val.json")
