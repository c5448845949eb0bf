"""Precision, recall and the 12 numbers against pycocotools, in every bit."""

import numpy as np
import pytest
from hypothesis import given, settings

from pipeline.evaluation.coco_matching import AREAS, match_detections
from pipeline.evaluation.coco_numbers import RECALL_THRESHOLDS, accumulate, twelve_numbers
from tests.pipeline.evaluation.pycocotools_reference import (
    CATEGORIES,
    IMAGES,
    Entries,
    detections,
    entry,
    read,
    summarized,
    truths,
)


def assert_equal(annotations: Entries, results: Entries) -> None:
    arrays = accumulate(match_detections(*read(annotations, results)))
    reference = summarized(annotations, results)
    precision, recall = reference.eval["precision"], reference.eval["recall"]
    for place, area in enumerate(AREAS):
        np.testing.assert_array_equal(arrays.precision[area], precision[:, :, :, place, -1], err_msg=area)
    most = reference.params.maxDets
    assert list(arrays.recall) == [*(("all", count) for count in most), *((area, 100) for area in list(AREAS)[1:])]
    for (area, count), values in arrays.recall.items():
        wanted = recall[:, :, list(AREAS).index(area), most.index(count)]
        np.testing.assert_array_equal(values, wanted, err_msg=f"{area} {count}")
    assert twelve_numbers(arrays) == reference.stats.tolist()


@settings(max_examples=300)
@given(annotations=truths(), results=detections())
def test_equal_pycocotools_in_every_bit(annotations: Entries, results: Entries) -> None:
    assert_equal(annotations, results)


@pytest.mark.parametrize("seed", range(4))
def test_equal_pycocotools_where_many_compete(seed: int) -> None:
    random = np.random.default_rng(seed)
    corners = random.uniform([0, 0, 1, 1], [60, 60, 110, 110], (400, 4)).round(1)
    boxes = [
        entry(int(random.choice(IMAGES)), int(random.choice(CATEGORIES)), box.tolist())
        | {"area": float(box[2] * box[3] * random.choice([1, 0.7])), "iscrowd": int(random.random() < 0.1)}
        for box in corners
    ]
    results = [
        entry(
            item["image_id"],
            item["category_id"],
            np.abs(np.array(item["bbox"]) + random.normal(0, 4, 4)).tolist(),
            score=float(np.round(random.random(), seed + 1)),
        )
        for item in random.choice(np.array(boxes, dtype=object), 1500)
    ]
    assert_equal(boxes, results)


def test_recall_thresholds_are_hundredths() -> None:
    assert RECALL_THRESHOLDS.tolist() == np.linspace(0, 1, 101).tolist()
