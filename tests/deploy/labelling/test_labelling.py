"""Pictures without boxes get those that an artefact finds."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.labelling.labelling import gather, label_pictures
from pipeline.errors import CheckpointError
from pipeline.label_records import LabelRecord, in_words
from pipeline.records import DatasetRecord
from pipeline.settings import Params, parse_params
from pipeline.storage import sha256_of
from tests.deploy.tiny import CATEGORY_IDS, write_dataset

BOXES = [(10, 10, 40, 30), (4, 20, 90, 60), (0, 0, 96, 64), (0, 0, 0, 0)]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """Three pictures with one red box each, and one without; all are of val too."""
    return write_dataset(tmp_path / "prepared", BOXES, ("val", "test"))


def params(artefact: Path, **label: Any) -> Params:
    content = {
        "data": {"name": "coco_dir"},
        "teacher": {"config": "teacher.py"},
        "students": {"small": {"recipe": "small.py"}},
        "export": {"models": ["small"]},
        "benchmark": {"backends": ["onnxruntime"]},
        "label": {"by": {"artefact": str(artefact), "sha256": sha256_of(artefact)}, **label},
    }
    return parse_params(content)


def label(prepared: Path, artefact: Path, **settings: Any) -> tuple[LabelRecord, dict[str, Any]]:
    target, dataset = prepared / "labels.json", DatasetRecord.read(prepared / "dataset.json")
    record = label_pictures(params(artefact, **settings), prepared, [dataset.splits["test"]], target)
    return record, json.loads(target.read_text(encoding="utf-8"))


def test_every_picture_is_there_with_what_was_found_and_its_score(prepared: Path, artefact: Path) -> None:
    record, content = label(prepared, artefact, least_score=0.05)
    assert [image["file_name"] for image in content["images"]] == [f"images/test/{n}.png" for n in (1, 2, 3, 4)]
    # The artefact's score is the share of red in the picture, so val's best F1 takes them all.
    by_picture = {box["image_id"]: box for box in content["annotations"]}
    assert {*by_picture} == {1, 2, 3}
    for image, (x1, y1, x2, y2) in enumerate(BOXES[:3], start=1):
        assert by_picture[image]["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=2)
        assert by_picture[image]["score"] == pytest.approx((x2 - x1) * (y2 - y1) / (96 * 64), abs=0.02)
        assert (by_picture[image]["category_id"], by_picture[image]["iscrowd"]) == (CATEGORY_IDS["blob"], 0)
    crown, blob = sorted(record.classes, key=lambda each: each.name, reverse=True)
    assert (record.images, record.images_without_boxes) == (4, 1)
    assert (blob.name, blob.boxes, blob.uncertain) == ("blob", 3, 0)
    assert (crown.threshold, crown.boxes) == (None, 0)
    assert in_words(record).startswith(f"4 pictures labelled by {artefact}: 3 boxes, 0 more that are uncertain")


def test_what_scores_less_than_val_asks_for_is_uncertain(prepared: Path, artefact: Path) -> None:
    """Val without the small box: finding it is wrong there, and the threshold rises above its score."""
    val = json.loads((prepared / "test.json").read_text(encoding="utf-8"))
    val["annotations"] = [box for box in val["annotations"] if box["image_id"] != 10]
    (prepared / "val.json").write_text(json.dumps(val), encoding="utf-8")
    record = DatasetRecord.read(prepared / "dataset.json")
    splits = {**record.splits, "val": record.splits["val"].model_copy(update={"annotations": "val.json"})}
    record.model_copy(update={"splits": splits}).write(prepared / "dataset.json")
    found, content = label(prepared, artefact, least_score=0.05)
    assert [(box["image_id"], box["iscrowd"]) for box in content["annotations"]] == [(1, 1), (2, 0), (3, 0)]
    assert [each.uncertain for each in found.classes if each.name == "blob"] == [1]
    _, without = label(prepared, artefact, least_score=0.5)
    assert [box["image_id"] for box in without["annotations"]] == [2, 3]  # the first is background


def test_pictures_of_several_splits_have_ids_of_their_own(prepared: Path) -> None:
    split = DatasetRecord.read(prepared / "dataset.json").splits["test"]
    elsewhere = split.model_copy(update={"image_root": "/photos"})
    pictures = gather(prepared, [split, elsewhere])
    assert [image["id"] for image in pictures.images] == list(range(1, 9))
    assert pictures.files[3:5] == ["images/test/4.png", "/photos/1.png"]


@pytest.mark.parametrize("change", ["gone", "other"])
def test_another_artefact_than_the_hash_says_is_refused(prepared: Path, artefact: Path, change: str) -> None:
    by = {"artefact": str(artefact), "sha256": "0" * 64}
    wanted = "label.by.sha256 is 0000"
    if change == "gone":
        by["artefact"], wanted = "gone.onnx", "is gone.onnx, and there is no such file"
    dataset = DatasetRecord.read(prepared / "dataset.json")
    with pytest.raises(CheckpointError, match=wanted):
        label_pictures(params(artefact, by=by), prepared, [dataset.splits["test"]], prepared / "labels.json")
    assert not (prepared / "labels.json").exists()
