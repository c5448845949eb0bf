"""The confusion matrix worked out by hand, and against COCO's matching on wild inputs."""

import numpy as np
import pytest

from pipeline.evaluation.coco_matching import ALL_AREAS, match_detections
from pipeline.evaluation.confusion import confusion_matrix
from tests.pipeline.evaluation.pycocotools_reference import Entries, drawn, entry, read

BOX = [0, 0, 10, 10]
NEAR = [1, 0, 10, 10]
ELSEWHERE = [50, 50, 10, 10]
BACKGROUND = 3


def cells(annotations: Entries, results: Entries, score: float = 0.5) -> dict[tuple[int, int], int]:
    """What is not 0, by class (from 0) of the box and of the detection."""
    matrix = confusion_matrix(*read(annotations, results), score)
    return {(row, column): int(matrix[row, column]) for row, column in np.argwhere(matrix).tolist()}


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([entry(1, 1, NEAR, score=0.9)], {(0, 0): 1}),
        ([entry(1, 2, NEAR, score=0.9)], {(0, 1): 1}),
        ([entry(1, 2, ELSEWHERE, score=0.9)], {(0, BACKGROUND): 1, (BACKGROUND, 1): 1}),
        ([entry(2, 1, BOX, score=0.9)], {(0, BACKGROUND): 1, (BACKGROUND, 0): 1}),
        ([entry(1, 1, [6, 0, 10, 10], score=0.9)], {(0, BACKGROUND): 1, (BACKGROUND, 0): 1}),
        ([entry(1, 1, NEAR, score=0.4)], {(0, BACKGROUND): 1}),
        ([entry(1, 1, NEAR, score=0.5)], {(0, 0): 1}),
        ([], {(0, BACKGROUND): 1}),
    ],
)
def test_one_box(results: Entries, expected: dict[tuple[int, int], int]) -> None:
    assert cells([entry(1, 1, BOX)], results) == expected


def test_a_box_that_was_found_is_not_confused_where_another_class_scores_and_lies_better() -> None:
    results = [entry(1, 2, BOX, score=0.9), entry(1, 1, NEAR, score=0.6)]
    assert cells([entry(1, 1, BOX)], results) == {(0, 0): 1, (BACKGROUND, 1): 1}


def test_of_two_wrong_classes_the_better_score_takes_the_box() -> None:
    results = [entry(1, 2, NEAR, score=0.9), entry(1, 3, BOX, score=0.6)]
    assert cells([entry(1, 1, BOX)], results) == {(0, 1): 1, (BACKGROUND, 2): 1}


def test_a_wrong_class_takes_the_box_that_it_overlaps_most() -> None:
    boxes = [entry(1, 1, [3, 0, 10, 10]), entry(1, 2, NEAR)]
    assert cells(boxes, [entry(1, 3, BOX, score=0.9)]) == {(0, BACKGROUND): 1, (1, 2): 1}


def test_what_lies_on_a_crowd_does_not_count_nor_does_the_crowd() -> None:
    crowd = entry(1, 1, [0, 0, 40, 40], iscrowd=1)
    assert cells([crowd], [entry(1, 1, BOX, score=0.9)]) == {}
    assert cells([crowd], [entry(1, 2, BOX, score=0.9)]) == {(BACKGROUND, 1): 1}


def test_rows_are_boxes_columns_detections_and_the_diagonal_what_coco_calls_right() -> None:
    confused = 0
    for seed in range(100):
        annotations, results = drawn(seed)
        matrix = confusion_matrix(*read(annotations, results), 0.5)
        matches = match_detections(*read(annotations, results))[ALL_AREAS]
        counted = [~item.ignored[0] & (item.score >= 0.5) for item in matches]
        right = [np.count_nonzero(item.matched[0] & kept) for item, kept in zip(matches, counted, strict=True)]
        assert matrix.sum(axis=1)[:-1].tolist() == [int(item.boxes.sum()) for item in matches]
        assert matrix.sum(axis=0)[:-1].tolist() == [np.count_nonzero(kept) for kept in counted]
        assert np.diag(matrix).tolist() == [*right, 0]
        confused += int(matrix[:-1, :-1].sum()) - sum(right)
    assert confused > 20
