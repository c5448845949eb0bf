"""The matching against pycocotools' own, image by image, on wild inputs."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from pipeline.evaluation.box_overlaps import overlapping
from pipeline.evaluation.coco_matching import (
    AREAS,
    IOU_THRESHOLDS,
    ignored,
    least_ious,
    match,
    match_detections,
    strongest,
)
from tests.pipeline.evaluation.pycocotools_reference import (
    IMAGES,
    Entries,
    columns,
    detections,
    entry,
    evaluated,
    read,
    truths,
)


def reference(annotations: Entries, results: Entries) -> dict[str, list[dict[str, Any]]]:
    """What ``COCOeval`` says of each area and class, joined over the images and sorted as its accumulation does."""
    evaluator = evaluated(annotations, results)
    thresholds = len(evaluator.params.iouThrs)
    by_area: dict[str, list[dict[str, Any]]] = {name: [] for name in evaluator.params.areaRngLbl}
    for number, first in enumerate(range(0, len(evaluator.evalImgs), len(IMAGES))):
        present = [
            (place, item)
            for place, item in enumerate(evaluator.evalImgs[first : first + len(IMAGES)])
            if item is not None
        ]
        score = np.concatenate([np.empty(0), *(item["dtScores"] for _, item in present)])
        order = np.argsort(-score, kind="stable")
        boxes = np.zeros(len(IMAGES), dtype=np.int64)
        for place, item in present:
            boxes[place] = np.count_nonzero(np.asarray(item["gtIgnore"]) == 0)
        image = np.repeat([place for place, _ in present], [len(item["dtScores"]) for _, item in present]).astype(int)
        flags = {
            name: np.concatenate([np.empty((thresholds, 0)), *(item[key] for _, item in present)], axis=1)[:, order]
            != 0
            for name, key in (("matched", "dtMatches"), ("ignored", "dtIgnore"))
        }
        area = evaluator.params.areaRngLbl[number % len(by_area)]
        by_area[area].append({"image": image[order], "score": score[order], "boxes": boxes} | flags)
    return by_area


def assert_equal(annotations: Entries, results: Entries) -> None:
    got = match_detections(*read(annotations, results))
    wanted = reference(annotations, results)
    assert list(got) == list(wanted)
    for area, classes in wanted.items():
        for ours, theirs in zip(got[area], classes, strict=True):
            for name, value in theirs.items():
                np.testing.assert_array_equal(getattr(ours, name), value, err_msg=f"{area} {name}")


@settings(max_examples=300)
@given(annotations=truths(), results=detections())
def test_equals_pycocotools(annotations: Entries, results: Entries) -> None:
    assert_equal(annotations, results)


@pytest.mark.parametrize("seed", range(3))
def test_more_than_100_detections_of_an_image_and_class(seed: int) -> None:
    random = np.random.default_rng(seed)
    corners = [[float(value) for value in random.integers(1, 9, 4)] for _ in range(160)]
    scores = random.choice([0.2, 0.4, 0.6], size=len(corners))
    results = [entry(1, 1, item, score=float(score)) for item, score in zip(corners, scores, strict=True)]
    assert_equal([entry(1, 1, item) for item in corners[:30]], results)


def test_no_detections_and_no_boxes() -> None:
    nothing = match_detections(*read([], []))
    assert list(nothing) == ["all", "small", "medium", "large"]
    for classes in nothing.values():
        assert [(item.matched.shape, item.boxes.tolist()) for item in classes] == [((10, 0), [0, 0, 0])] * 3


@settings(max_examples=200)
@given(annotations=truths(), results=detections())
def test_the_boxes_that_are_found_are_those_of_pycocotools(annotations: Entries, results: Entries) -> None:
    ious = np.array([0.5, 0.7])
    evaluator = evaluated(annotations, results, ious)
    boxes, found = columns(annotations, results)
    found = strongest(found)
    for name, area in AREAS.items():
        matching = match(boxes, found, overlapping(boxes, found, ious[0]), ious, area)
        items = [item for item in evaluator.evalImgs if item and item["aRng"] == list(area)]
        for threshold in range(len(ious)):
            missed = boxes.place[~matching.found[threshold] & ~ignored(boxes, area)]
            wanted = {
                number - 1
                for item in items
                for number, hit, left_out in zip(
                    item["gtIds"], item["gtMatches"][threshold], item["gtIgnore"], strict=True
                )
                if not hit and not left_out
            }
            assert set(missed.tolist()) == wanted, name


def test_detections_come_by_class_image_and_falling_score_100_of_each() -> None:
    where = [(2, 1), (1, 2), (1, 1)]
    results = [entry(*place, [0, 0, 1, 1], score=number / 200) for number in range(120) for place in where]
    found = strongest(columns([], results)[1])
    assert len(found) == 300
    pairs = zip(found.image.tolist(), found.category.tolist(), strict=True)
    assert list(dict.fromkeys(pairs)) == [(1, 1), (2, 1), (1, 2)]
    assert found.score[:100].tolist() == [number / 200 for number in range(119, 19, -1)]


def test_an_exact_overlap_reaches_a_threshold_of_one() -> None:
    boxes, found = columns([entry(1, 1, [0, 0, 3, 7])], [entry(1, 1, [0, 0, 3, 7], score=0.5)])
    ious = np.array([0.5, 1.0])
    matching = match(boxes, found, overlapping(boxes, found, least_ious(ious)[0]), ious, AREAS["all"])
    assert matching.hit.tolist() == [[True], [True]]
    assert IOU_THRESHOLDS.tolist() == np.linspace(0.5, 0.95, 10).tolist()
