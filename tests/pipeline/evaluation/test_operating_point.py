"""The score from which on boxes are shown, worked out by hand and against every score that there is."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.coco_matching import ClassMatches
from pipeline.evaluation.operating_point import at_score, best_score


def matches(detections: list[tuple[float, bool]], boxes: int, ignored: list[bool] | None = None) -> ClassMatches:
    """One class in one image; detections as score and whether they are right at every IoU."""
    ordered = sorted(detections, key=lambda item: -item[0])
    left_out = np.array(ignored or [False] * len(ordered), np.bool_)
    return ClassMatches(
        image=np.zeros(len(ordered), np.int64),
        score=np.array([score for score, _ in ordered]),
        matched=np.tile(np.array([right for _, right in ordered], np.bool_), (10, 1)),
        ignored=np.tile(left_out, (10, 1)),
        boxes=np.array([boxes]),
    )


def test_the_best_score_balances_precision_and_recall() -> None:
    # Right at 0.9 and 0.6, wrong at 0.7 and 0.4, of 3 boxes: F1 is 2/4, 2/5, 4/6 and 4/7.
    one = matches([(0.9, True), (0.7, False), (0.6, True), (0.4, False)], boxes=3)
    assert best_score([one]) == 0.5
    found = at_score([one], 0.5)
    assert (found.precision, found.recall, found.detections) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 3)
    assert found.f1 == pytest.approx(4 / 6)


def test_classes_count_together() -> None:
    often = matches([(0.8, True), (0.7, True), (0.3, True)], boxes=3)
    seldom = matches([(0.5, False), (0.2, True)], boxes=1)
    assert best_score([often, seldom]) == pytest.approx(0.1)  # all are shown: 8 / 9
    assert best_score([seldom]) == pytest.approx(0.1)
    assert best_score([often]) == pytest.approx(0.15)


def test_equal_scores_pass_together() -> None:
    one = matches([(0.5, True), (0.5, False), (0.5, False)], boxes=1)
    assert best_score([one]) == 0.25
    assert at_score([one], 0.25).detections == 3


def test_what_counts_neither_way_is_left_out() -> None:
    one = matches([(0.9, True), (0.8, False)], boxes=1, ignored=[False, True])
    assert at_score([one], 0.1).precision == 1


@pytest.mark.parametrize("nothing", [matches([], 3), matches([(0.9, False)], 3), matches([], 0)])
def test_a_detector_that_finds_nothing_has_no_score(nothing: ClassMatches) -> None:
    assert best_score([nothing]) is None
    assert at_score([nothing], None) is None


def test_a_score_that_shows_nothing_has_no_precision() -> None:
    found = at_score([matches([(0.4, True)], 2)], 0.9)
    assert (found.precision, found.recall, found.f1, found.detections) == (None, 0, 0, 0)


@given(st.lists(st.tuples(st.integers(1, 999), st.booleans()), min_size=1, max_size=30), st.integers(0, 10))
def test_no_other_score_is_better(detections: list[tuple[int, bool]], more: int) -> None:
    found = [(thousandths / 1000, right) for thousandths, right in detections]
    one = matches(found, boxes=sum(right for _, right in found) + more)
    score = best_score([one])
    if score is None:
        assert not any(right for _, right in found)
        return
    best = at_score([one], score).f1
    assert best == pytest.approx(max(at_score([one], other).f1 for other, _ in found))


def test_the_record_says_where_it_was_chosen(tmp_path: Path) -> None:
    from pipeline.operating_point_records import OperatingPoint
    from tests.pipeline.report.example_run import example_params, write_run

    write_run(tmp_path, example_params())
    record = OperatingPoint.read(tmp_path / "reports/operating_point/crosskd.json")
    assert (record.chosen_on, record.measured_on) == ("val", "test")
    assert record.chosen == record.measured  # the example has one split
    assert len(record.classes) == 10
    assert 0 < record.score < 1
