"""How an artefact differs from PyTorch, on results written by hand."""

import pytest

from deploy.ladder.differences import box_differences as differences_of_columns
from deploy.ladder.differences import worst_class
from pipeline.deploy_records import BoxDifferences, ClassDrop
from pipeline.records import AccuracyRecord, ClassNumbers
from tests.deploy.columns import columns


def result(image: int, box: list[float], score: float, category: int = 3) -> dict:
    return {"image_id": image, "category_id": category, "bbox": box, "score": score}


def box_differences(reference: list[dict], artefact: list[dict], score: float) -> BoxDifferences:
    return differences_of_columns(columns(reference), columns(artefact), score)


def accuracy(**ap: float | None) -> AccuracyRecord:
    classes = [ClassNumbers(name=name, ap=value, ap50=None, boxes=1, detections=1) for name, value in ap.items()]
    return AccuracyRecord.model_construct(classes=classes)


def test_boxes_are_compared_pair_by_pair() -> None:
    torch = [result(1, [0, 0, 10, 10], 0.9), result(1, [50, 50, 10, 10], 0.8), result(2, [0, 0, 10, 10], 0.6)]
    other = [result(2, [0, 0, 10, 8], 0.2), result(1, [0, 0, 10, 10], 0.8), result(3, [0, 0, 9, 9], 0.9)]
    found = box_differences(torch, other, 0.3)
    assert (found.score, found.detections, found.matched) == (0.3, 3, pytest.approx(2 / 3))
    assert found.mean_iou == pytest.approx(0.9)
    assert (found.mean_score_difference, found.max_score_difference) == (pytest.approx(0.25), pytest.approx(0.4))


def test_images_come_in_any_order_and_their_detections_apart() -> None:
    torch = [result(image, [image, 0, 10, 10], 0.9 - image / 100) for image in (7, 2, 9, 2, 7)]
    found = box_differences(torch, torch[::-1], 0.3)
    assert (found.detections, found.matched, found.mean_iou, found.max_score_difference) == (5, 1, 1, 0)


def test_only_what_pytorch_is_sure_of_counts() -> None:
    torch = [result(1, [0, 0, 10, 10], 0.9), result(1, [50, 50, 10, 10], 0.1)]
    assert box_differences(torch, torch[:1], 0.3).matched == 1
    assert box_differences(torch, torch[:1], 0.05).matched == 0.5


def test_another_class_is_no_partner() -> None:
    found = box_differences([result(1, [0, 0, 9, 9], 0.9)], [result(1, [0, 0, 9, 9], 0.9, category=7)], 0.3)
    assert (found.matched, found.mean_iou, found.max_score_difference) == (0, None, None)


def test_where_there_is_nothing_to_match_nothing_is_said_to_match() -> None:
    unsure = [result(1, [0, 0, 9, 9], 0.2)]
    for torch, other in (([], [result(1, [0, 0, 9, 9], 0.9)]), ([], []), (unsure, unsure)):
        found = box_differences(torch, other, 0.3)
        assert (found.detections, found.matched, found.mean_iou, found.max_score_difference) == (0, None, None, None)
    assert box_differences([result(1, [0, 0, 9, 9], 0.9)], [], 0.3).matched == 0


def test_the_worst_class_is_the_one_that_loses_most() -> None:
    torch = accuracy(a=50.0, b=40.0, c=None, d=10.0)
    assert worst_class(torch, accuracy(a=49.0, b=30.0, c=5.0, d=None)) == ClassDrop(name="b", drop=10.0)
    assert worst_class(torch, accuracy(a=51.0, b=40.5, c=5.0, d=11.0)) == ClassDrop(name="b", drop=-0.5)
    assert worst_class(accuracy(a=None), accuracy(a=3.0)) is None
