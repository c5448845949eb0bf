import json
import logging

import cv2
import numpy as np
import pytest
import yaml

from pipeline.records import DatasetRecord
from stages.data import main


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project whose data set is a folder with one image and one box a split."""
    for number, split in enumerate(("train", "val"), 1):
        folder = tmp_path / "photos" / split
        folder.mkdir(parents=True)
        cv2.imwrite(str(folder / "a.png"), np.full((20, 30, 3), number, np.uint8))
        content = {
            "images": [{"id": 1, "file_name": "a.png", "width": 30, "height": 20}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 10]}],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (tmp_path / "photos" / f"{split}.json").write_text(json.dumps(content))
    splits = {split: {"annotations": f"{split}.json", "images": split} for split in ("train", "val")}
    params = {
        "data": {"name": "coco_dir", "coco_dir": {"root": "photos", **splits, "test": None}},
        "teacher": {"config": "teacher.py"},
        "students": {"twin": {"recipe": "twin.py"}},
        "export": {"models": ["twin"]},
        "benchmark": {"backends": ["onnxruntime"]},
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stage_writes_the_data_set_and_shows_it(project, caplog):
    caplog.set_level(logging.INFO)
    main([])
    record = DatasetRecord.read(project / "data/prepared/dataset.json")
    assert list(record.splits) == ["train", "val"]
    shown = [line.getMessage().split() for line in caplog.records if line.name == "stages.data"]
    assert ["train", "1", "1", "0"] in shown
    assert shown[0][0] == "warning:"


def test_many_findings_of_a_kind_are_one_line_that_says_where_they_are(project, caplog):
    path = project / "photos/train.json"
    content = json.loads(path.read_text())
    content["annotations"] += [{**content["annotations"][0], "id": n, "bbox": [1, 2, 0.5, n]} for n in range(2, 9)]
    path.write_text(json.dumps(content))
    caplog.set_level(logging.INFO)
    main([])
    told = [line.getMessage() for line in caplog.records if "under 1 px" in line.getMessage()]
    expected = (
        "warning: photos/train.json: 7 like this one, all in data/prepared/findings.txt: annotation 2: "
        "bbox [1, 2, 0.5, 2] is under 1 px wide or high; training leaves such boxes out (mmdet)"
    )
    assert told == [expected]
    assert (project / "data/prepared/findings.txt").read_text().count("under 1 px") == 7


def test_a_broken_data_set_ends_the_stage_with_its_findings(project):
    (project / "photos/val/a.png").unlink()
    with pytest.raises(SystemExit, match=r"error: the data set has 1 error\(s\)(.|\n)*photos/val\.json: image 1"):
        main([])
    assert not (project / "data/prepared").exists()


def test_pictures_without_boxes_have_a_row_of_their_own(project, caplog):
    (project / "heap").mkdir()
    for number in (3, 4):
        cv2.imwrite(str(project / f"heap/{number}.png"), np.full((20, 30, 3), number, np.uint8))
    path = project / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["data"]["unlabelled"] = "heap"
    path.write_text(yaml.safe_dump(params))
    caplog.set_level(logging.INFO)
    main([])
    shown = [line.getMessage().split() for line in caplog.records if line.name == "stages.data"]
    assert shown[-1] == ["unlabelled", "2", "0", "0"]
