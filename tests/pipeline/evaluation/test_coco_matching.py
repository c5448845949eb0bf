"""The matching against pycocotools' own, image by image, on wild inputs."""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from faster_coco_eval import COCO
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.cocoeval import COCOeval

from pipeline.evaluation.coco_matching import match_detections
from pipeline.evaluation.inputs import indexed

# Few values, so that overlaps, scores and sizes are often equal.
SIDES = st.sampled_from([1.0, 2.0, 3.0, 8.0])
BOXES = st.tuples(st.integers(0, 6), st.integers(0, 6), SIDES, SIDES).map(list)
HUGE = st.just([0.0, 0.0, 2e5, 2e5])
TRUTHS = st.tuples(st.integers(1, 3), st.integers(1, 3), BOXES | HUGE, st.sampled_from([0, 0, 0, 1]))
DETECTIONS = st.tuples(st.integers(1, 3), st.integers(1, 3), BOXES | HUGE, st.sampled_from([0.1, 0.5, 0.5, 0.9]))


def coco(entries: list[dict[str, Any]]) -> COCO:
    images = [{"id": number, "width": 9, "height": 9} for number in (3, 1, 2)]
    categories = [{"id": number, "name": str(number)} for number in (2, 1, 3)]
    numbered = [{"id": number, "iscrowd": 0} | entry for number, entry in enumerate(entries, start=1)]
    return indexed(images, categories, numbered)


def box(image: int, category: int, corners: list[float], **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "bbox": corners, "area": corners[2] * corners[3]} | more


def reference(ground_truth: COCO, detections: COCO) -> list[dict[str, Any]]:
    """What ``COCOeval`` says of each class, joined over the images and sorted as its accumulation does."""
    evaluator = COCOeval(ground_truth, detections, "bbox")
    evaluator.params.areaRng, evaluator.params.areaRngLbl = evaluator.params.areaRng[:1], ["all"]
    evaluator.params.maxDets = evaluator.params.maxDets[-1:]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
    images, thresholds = len(evaluator.params.imgIds), len(evaluator.params.iouThrs)
    classes = []
    for first in range(0, len(evaluator.evalImgs), images):
        present = [
            (place, item) for place, item in enumerate(evaluator.evalImgs[first : first + images]) if item is not None
        ]
        score = np.concatenate([np.empty(0), *(item["dtScores"] for _, item in present)])
        order = np.argsort(-score, kind="stable")
        boxes = np.zeros(images, dtype=np.int64)
        for place, item in present:
            boxes[place] = np.count_nonzero(np.asarray(item["gtIgnore"]) == 0)
        image = np.repeat([place for place, _ in present], [len(item["dtScores"]) for _, item in present]).astype(int)
        flags = {
            name: np.concatenate([np.empty((thresholds, 0)), *(item[key] for _, item in present)], axis=1)[:, order]
            != 0
            for name, key in (("matched", "dtMatches"), ("ignored", "dtIgnore"))
        }
        classes.append({"image": image[order], "score": score[order], "boxes": boxes} | flags)
    return classes


def assert_equal(ground_truth: COCO, detections: COCO) -> None:
    got, wanted = match_detections(ground_truth, detections), reference(ground_truth, detections)
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        for name, value in theirs.items():
            np.testing.assert_array_equal(getattr(ours, name), value, err_msg=name)


@settings(max_examples=300)
@given(truths=st.lists(TRUTHS, max_size=12), found=st.lists(DETECTIONS, max_size=16))
def test_equals_pycocotools(truths: list[Any], found: list[Any]) -> None:
    boxes = [box(image, category, corners, iscrowd=crowd) for image, category, corners, crowd in truths]
    detections = [box(image, category, corners, score=score) for image, category, corners, score in found]
    assert_equal(coco(boxes), coco(detections))


@pytest.mark.parametrize("seed", range(3))
def test_more_than_100_detections_of_an_image_and_class(seed: int) -> None:
    random = np.random.default_rng(seed)
    corners = [[float(value) for value in random.integers(1, 9, 4)] for _ in range(160)]
    scores = random.choice([0.2, 0.4, 0.6], size=len(corners))
    detections = [box(1, 1, item, score=float(score)) for item, score in zip(corners, scores, strict=True)]
    assert_equal(coco([box(1, 1, item) for item in corners[:30]]), coco(detections))


def test_no_detections_and_no_boxes() -> None:
    nothing = match_detections(coco([]), coco([]))
    assert [(item.matched.shape, item.boxes.tolist()) for item in nothing] == [((10, 0), [0, 0, 0])] * 3
