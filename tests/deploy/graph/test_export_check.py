"""The rule that decides whether two lists of detections say the same."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from deploy.graph.export_check import compare, summarise
from deploy.runtime.detections import Detections
from deploy.runtime.matching import match
from tests.deploy.tiny import SPEC

LIMITS = replace(SPEC, score_threshold=0.05, max_detections=4)
BOX = (10.0, 10.0, 30.0, 30.0)
FAR = (40.0, 10.0, 60.0, 30.0)


def found(*rows: tuple[Sequence[float], float, int]) -> Detections:
    boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
    scores, labels = np.array([row[1] for row in rows], np.float32), np.array([row[2] for row in rows], np.int64)
    return Detections(boxes, scores, labels, SPEC.classes)


def test_equal_lists_match_whatever_their_order() -> None:
    comparison = compare(found((BOX, 0.9, 0), (FAR, 0.8, 1)), found((FAR, 0.8, 1), (BOX, 0.9, 0)), LIMITS)
    assert comparison.pairs.tolist() == [[0, 1], [1, 0]]
    assert (comparison.unexplained, comparison.box_difference_px, comparison.score_difference) == (0, 0, 0)


def test_differences_are_the_largest_over_the_pairs() -> None:
    moved = (10.0, 10.25, 30.0, 30.0)
    comparison = compare(found((BOX, 0.9, 0), (FAR, 0.5, 1)), found((moved, 0.9, 0), (FAR, 0.25, 1)), LIMITS)
    assert comparison.unexplained == 0
    assert comparison.box_difference_px == 0.25
    assert comparison.score_difference == pytest.approx(0.25)


@pytest.mark.parametrize(
    "other",
    [found(), found((FAR, 0.9, 0)), found((BOX, 0.9, 1))],
    ids=["missing", "elsewhere", "other class"],
)
def test_a_detection_without_partner_counts_on_both_sides(other: Detections) -> None:
    here = found((BOX, 0.9, 0))
    assert len(match(here, other)) == 0
    assert compare(here, other, LIMITS).unexplained == 1 + len(other)
    assert compare(other, here, LIMITS).unexplained == 1 + len(other)


@pytest.mark.parametrize(("score", "unexplained"), [(0.0505, 0), (0.052, 1)])
def test_rounding_at_the_threshold_is_explained(score: float, unexplained: int) -> None:
    assert compare(found((BOX, score, 0)), found(), LIMITS).unexplained == unexplained
    assert compare(found(), found((BOX, score, 0)), LIMITS).unexplained == unexplained


@pytest.mark.parametrize(("score", "unexplained"), [(0.7005, 0), (0.702, 1)])
def test_rounding_at_the_end_of_a_full_list_is_explained(score: float, unexplained: int) -> None:
    shared = [((x, 50.0, x + 10, 60.0), 0.9, 0) for x in (0.0, 20.0, 40.0)]
    full, other = found(*shared, (BOX, 0.7, 0)), found(*shared, (FAR, score, 0))
    assert compare(full, other, LIMITS).unexplained == unexplained
    assert compare(full, other, replace(LIMITS, max_detections=5)).unexplained == 2


def test_summary_joins_images() -> None:
    here, missed = found((BOX, 0.9, 0)), compare(found((BOX, 0.9, 0)), found(), LIMITS)
    moved = compare(here, found(((10.0, 10.0, 30.0, 31.0), 0.8, 0)), LIMITS)
    check = summarise([moved, compare(here, here, LIMITS), missed, compare(found(), found(), LIMITS)])
    assert (check.images, check.detections) == (4, 3)
    assert check.matched == pytest.approx(2 / 3)
    assert check.max_box_difference_px == 1
    assert check.max_score_difference == pytest.approx(0.1)


@pytest.mark.parametrize("images", [0, 1, 3])
def test_a_summary_of_nothing_claims_nothing(images: int) -> None:
    check = summarise([compare(found(), found(), LIMITS)] * images)
    assert (check.images, check.detections, check.matched) == (images, 0, None)
    assert (check.max_box_difference_px, check.max_score_difference) == (None, None)


def test_without_pairs_there_is_no_difference_to_tell() -> None:
    check = summarise([compare(found((BOX, 0.9, 0)), found((FAR, 0.9, 0)), LIMITS)])
    assert (check.detections, check.matched) == (2, 0)
    assert (check.max_box_difference_px, check.max_score_difference) == (None, None)
