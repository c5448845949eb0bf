"""Overlaps against pycocotools' own, in every bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask

from pipeline.evaluation.box_overlaps import intersection_over_union, overlapping
from tests.pipeline.evaluation.pycocotools_reference import Entries, columns, detections, entry, truths

VALUES = st.sampled_from([0.0, 0.1, 1 / 3, 1.0, 7.7, 640.0]) | st.floats(0, 1e6, allow_subnormal=False)
BOX = st.tuples(VALUES, VALUES, VALUES, VALUES)


@settings(max_examples=300)
@given(st.lists(BOX, min_size=1, max_size=6), st.lists(st.tuples(BOX, st.booleans()), min_size=1, max_size=6))
def test_iou_is_that_of_pycocotools_in_every_bit(found: list[Any], truth: list[Any]) -> None:
    first, second = np.array(found), np.array([box for box, _ in truth])
    crowd = np.array([crowd for _, crowd in truth])
    # Where a product of sides is too small for a number, the reference divides 0 by 0.
    if ((first[:, 2:] > 0) & (first[:, 2:] < 1e-150)).any() or ((second[:, 2:] > 0) & (second[:, 2:] < 1e-150)).any():
        return
    one, other = (axis.ravel() for axis in np.meshgrid(range(len(first)), range(len(second)), indexing="ij"))
    got = intersection_over_union(first[one], second[other], crowd[other])
    np.testing.assert_array_equal(got.reshape(len(first), -1), mask.iou(first, second, crowd.astype(np.uint8)))


@given(annotations=truths(), results=detections())
def test_pairs_are_those_of_one_image_and_class_that_overlap_enough(annotations: Entries, results: Entries) -> None:
    boxes, found = columns(annotations, results)
    overlaps = overlapping(boxes, found, 0.5)
    wanted = [
        (detection, truth)
        for detection, result in enumerate(results)
        for truth, item in enumerate(annotations)
        if (result["image_id"], result["category_id"]) == (item["image_id"], item["category_id"])
        if mask.iou(np.array([result["bbox"]], float), np.array([item["bbox"]], float), [item["iscrowd"]])[0, 0] >= 0.5
    ]
    assert list(zip(overlaps.detection.tolist(), overlaps.truth.tolist(), strict=True)) == wanted


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_a_part_at_a_time_gives_the_same_pairs(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    random = np.random.default_rng(0)
    places = random.integers(1, 3, (40, 2)).tolist()
    corners = random.integers(1, 5, (40, 4)).astype(float).tolist()
    entries = [entry(*place, box, score=0.5) for place, box in zip(places, corners, strict=True)]
    boxes, found = columns(entries[:15], entries[15:])
    whole = overlapping(boxes, found, 0.1)
    monkeypatch.setattr("pipeline.evaluation.box_overlaps._PAIRS_AT_ONCE", at_once)
    parts = overlapping(boxes, found, 0.1)
    assert len(whole.iou) > 20
    for name, values in vars(whole).items():
        np.testing.assert_array_equal(getattr(parts, name), values)
