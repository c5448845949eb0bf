from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.detections import Detections

CLASSES = ("crown", "blob", "rock")


def make(labels: list[int], seed: int = 0) -> Detections:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 300, (len(labels), 2)).astype(np.float32)
    boxes = np.hstack([corners, corners + random.uniform(0, 99, corners.shape).astype(np.float32)])
    return Detections(boxes, random.random(len(labels), np.float32), np.array(labels, np.int64), CLASSES)


@given(st.lists(st.lists(st.integers(0, 2), max_size=4), max_size=4))
def test_joined_are_the_results_of_one_image_after_the_other(labels: list[list[int]]) -> None:
    ids = [4, 1, 90]
    found = [(7 * number, make(item, number)) for number, item in enumerate(labels)]
    columns = DetectionColumns.joined(found, ids)
    assert columns.results() == [item for image, detections in found for item in detections.to_coco(image, ids)]
    assert len(columns) == sum(map(len, labels))


def test_category_ids_must_match_the_classes() -> None:
    with pytest.raises(ValueError, match="3 classes need as many category ids, got 2"):
        DetectionColumns.joined([(1, make([0]))], [1, 2])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    for columns in (DetectionColumns.joined([(3, make([0, 2]))], [4, 1, 90]), DetectionColumns.none()):
        columns.write(tmp_path / "found.npz")
        read = DetectionColumns.read(tmp_path / "found.npz")
        assert read.results() == columns.results()
        assert [values.dtype for values in vars(read).values()] == [values.dtype for values in vars(columns).values()]


def test_a_mask_or_positions_choose() -> None:
    columns = DetectionColumns.joined([(3, make([0, 2, 1]))], [4, 1, 90])
    assert columns.taken(np.array([True, False, True])).results() == columns.results()[::2]
    assert columns.taken(np.array([2, 0])).results() == columns.results()[::-2]
