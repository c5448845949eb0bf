from pathlib import Path

import pytest

from pipeline.datasets.prepared import read_dataset, split_paths
from pipeline.errors import PipelineError
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


def test_a_missing_data_set_names_the_record(tmp_path):
    with pytest.raises(PipelineError, match=r"dataset\.json: no such record"):
        read_dataset(tmp_path)
