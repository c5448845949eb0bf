"""Kinds of errors worked out by hand, against the authors' own program, and on wild inputs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.evaluation.coco_matching import ALL_AREAS, match_detections
from pipeline.evaluation.coco_numbers import accumulate, twelve_numbers
from pipeline.evaluation.inputs import GroundTruth, read_detections
from pipeline.evaluation.tide import KINDS, JudgedDetections, judge_detections
from tests.pipeline.evaluation.pycocotools_reference import Entries, drawn, entry, read

GOLDEN = json.loads(Path(__file__).with_name("tide_golden.json").read_text(encoding="utf-8"))
PERFECT = pytest.approx(100)
HALF = pytest.approx(50)
BOX = [0, 0, 10, 10]
ELSEWHERE = [50, 50, 10, 10]


def judged(annotations: Entries, results: Entries) -> JudgedDetections:
    return judge_detections(*read(annotations, results))


def counts(found: JudgedDetections) -> dict[str, int]:
    """Of the kinds that occur."""
    return {kind: count for kind in KINDS if (count := found.count(kind))}


@pytest.mark.parametrize("case", GOLDEN)
def test_the_authors_program_says_the_same(case: dict[str, Any]) -> None:
    """The numbers are tidecv's 1.0.1, of ``TIDE().evaluate(truth, found, mode=TIDE.BOX)`` with every image added.

    Detections are drawn around the boxes from the seeds 0, 1 and 2, no two scores are the same, and every class has a
    box. Of 300 such seeds 29 show that tidecv's recall thresholds differ from COCO's in the last bit, and 5 a class
    without a box, which tidecv counts as 0; the others give the same numbers.
    """
    ground_truth = GroundTruth(
        {number: {"id": number} for number in range(1, 11)},
        {number: {"id": number} for number in range(1, 5)},
        [entry(image, category, box) for image, category, box in case["truth"]],
    )
    results = [entry(image, category, box, score=score) for image, category, box, score in case["found"]]
    found = judge_detections(ground_truth, read_detections(results, ground_truth))
    measured, expected = found.ap50(), case["tidecv"]
    assert {kind: found.count(kind) for kind in KINDS} == expected["counts"]
    assert measured == pytest.approx(expected["ap50"], abs=1e-9)
    # tidecv shows no gain below 0.
    gains = {kind: max(found.ap50([kind]) - measured, 0) for kind in KINDS}
    assert gains == pytest.approx(expected["main"], abs=1e-9)
    special = {
        "FalsePos": found.ap50_without_false_positives() - measured,
        "FalseNeg": found.ap50_without_false_negatives() - measured,
    }
    assert special == pytest.approx(expected["special"], abs=1e-9)


def test_every_error_is_of_one_kind_and_nothing_is_left_once_all_are_mended() -> None:
    every = dict.fromkeys(KINDS, 0)
    for seed in range(100):
        annotations, results = drawn(seed)
        found, matches = judged(annotations, results), match_detections(*read(annotations, results))[ALL_AREAS]
        hits = [item.matched[0][~item.ignored[0]] for item in matches]
        wrong = sum(np.count_nonzero(~each) for each in hits)
        assert sum(found.count(kind) for kind in KINDS if kind != "Miss") == wrong
        boxes = np.array([item.boxes.sum() for item in matches])
        assert (found.boxes == boxes).all()
        assert (found.unfound == boxes - [np.count_nonzero(each) for each in hits]).all()
        mended = np.bincount(found.mended[found.mended >= 0], minlength=len(boxes))
        assert (found.missed + mended == found.unfound).all()
        assert found.ap50(KINDS) == (PERFECT if boxes.any() else None)
        for kind in KINDS:
            every[kind] += found.count(kind)
    assert min(every.values()) > 10


def test_ap50_is_that_of_coco_in_every_bit() -> None:
    for seed in range(100):
        annotations, results = drawn(seed)
        fraction = twelve_numbers(accumulate(match_detections(*read(annotations, results))))[1]
        assert judged(annotations, results).ap50() == (None if fraction < 0 else 100 * fraction)


@pytest.mark.parametrize(
    ("category", "box", "kind"),
    [
        (1, [6, 0, 10, 10], "Loc"),  # IoU 4 / 16
        (2, [1, 0, 10, 10], "Cls"),  # IoU 9 / 11
        (2, [6, 0, 10, 10], "Both"),
        (1, [9, 0, 10, 10], "Bkg"),  # IoU 1 / 19
        (2, ELSEWHERE, "Bkg"),
        (1, [0, 0, 10, 100], "Loc"),  # an IoU of 0.1 itself
        (2, [0, 0, 10, 100], "Bkg"),
        (2, [0, 0, 10, 20], "Cls"),  # an IoU of 0.5 itself
    ],
)
def test_the_kind_of_one_wrong_detection(category: int, box: list[float], kind: str) -> None:
    found = judged([entry(1, 1, BOX)], [entry(1, category, box, score=0.9)])
    points_at_the_box = kind in ("Loc", "Cls")
    assert counts(found) == {kind: 1} | ({} if points_at_the_box else {"Miss": 1})
    assert found.ap50() == 0
    if points_at_the_box:
        assert found.ap50([kind]) == PERFECT


def test_a_second_detection_of_a_box_is_a_duplicate_and_costs_what_scores_below_it() -> None:
    boxes = [entry(1, 1, BOX), entry(2, 1, BOX)]
    found = judged(
        boxes, [entry(1, 1, BOX, score=0.9), entry(1, 1, [1, 0, 10, 10], score=0.8), entry(2, 1, BOX, score=0.7)]
    )
    assert counts(found) == {"Dupe": 1}
    assert found.ap50() == pytest.approx(100 * (51 + 50 * 2 / 3) / 101)
    assert found.ap50(["Dupe"]) == found.ap50_without_false_positives() == PERFECT


def test_a_poor_place_comes_before_a_wrong_class_and_that_before_a_duplicate() -> None:
    beside = [entry(1, 1, BOX), entry(1, 2, [6, 0, 10, 10])]
    assert counts(judged(beside, [entry(1, 1, [6, 0, 10, 10], score=0.9)])) == {"Loc": 1, "Miss": 1}
    on_top = [entry(1, 1, BOX), entry(1, 2, BOX)]
    twice = [entry(1, 1, BOX, score=0.9), entry(1, 1, BOX, score=0.8)]
    assert counts(judged(on_top, twice)) == {"Cls": 1}


def test_of_the_detections_that_point_at_a_box_the_best_is_mended_and_the_others_go() -> None:
    results = [entry(1, 2, BOX, score=0.9), entry(1, 1, [6, 0, 10, 10], score=0.8)]
    found = judged([entry(1, 1, BOX)], results)
    assert counts(found) == {"Cls": 1, "Loc": 1}
    assert found.mended.tolist() == [-1, 0]  # by class: that of class 1 goes, that of class 2 is right in class 1
    assert (found.ap50(["Cls"]), found.ap50(["Loc"])) == (PERFECT, 0)


def test_an_error_that_points_at_a_box_that_was_found_goes() -> None:
    results = [entry(1, 1, BOX, score=0.5), entry(1, 2, BOX, score=0.9), entry(1, 1, [6, 0, 10, 10], score=0.8)]
    found = judged([entry(1, 1, BOX)], results)
    assert counts(found) == {"Cls": 1, "Loc": 1}
    assert found.ap50() == HALF
    assert (found.ap50(["Cls"]), found.ap50(["Loc"])) == (HALF, PERFECT)


def test_missed_boxes_are_not_asked_for() -> None:
    found = judged([entry(1, 1, BOX), entry(2, 1, BOX)], [entry(1, 1, BOX, score=0.9)])
    assert counts(found) == {"Miss": 1}
    assert found.ap50() == pytest.approx(100 * 51 / 101)
    assert found.ap50(["Miss"]) == found.ap50_without_false_negatives() == PERFECT


def test_a_class_of_missed_boxes_is_0_where_something_was_detected_and_no_part_otherwise() -> None:
    boxes, right = [entry(1, 1, BOX), entry(1, 2, ELSEWHERE)], entry(1, 1, BOX, score=0.9)
    assert judged(boxes, [right]).ap50(["Miss"]) == PERFECT
    assert judged(boxes, [right, entry(2, 2, BOX, score=0.9)]).ap50(["Miss"]) == HALF
    assert judged(boxes, []).ap50(["Miss"]) == PERFECT


def test_what_lies_on_a_crowd_is_no_error() -> None:
    crowd = entry(1, 1, [0, 0, 40, 40], iscrowd=1)
    assert counts(judged([crowd, entry(1, 1, ELSEWHERE)], [entry(1, 1, BOX, score=0.9)])) == {"Miss": 1}


def test_without_a_box_to_find_there_is_no_ap() -> None:
    found = judged([], [entry(1, 1, BOX, score=0.9)])
    assert (found.ap50(), found.ap50(KINDS), found.ap50_without_false_positives()) == (None, None, None)
    assert counts(found) == {"Bkg": 1}
