import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.report.outcome_matching import annotated, detected, match

# Few places and sizes, so that boxes overlap, tie and compete; one size is larger than any that COCO counts.
BOX = st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0, 3, 4, 5, 2e5]), st.integers(1, 6))
WHERE = st.tuples(st.integers(1, 2), st.integers(1, 2))


def _annotation(number, where, box, crowd):
    place = {"image_id": where[0], "category_id": where[1], "bbox": list(box)}
    return {"id": number, "area": box[2] * box[3], "iscrowd": int(crowd)} | place


def _indexed(entries):
    coco = COCO()
    images = [{"id": number, "width": 10, "height": 10} for number in (1, 2)]
    coco.dataset = {"images": images, "categories": [{"id": 1}, {"id": 2}], "annotations": entries}
    coco.createIndex()
    return coco


def _reference(annotations, results):
    """Ids of results that hit and of those left out, and of annotations that count and were missed, by pycocotools."""
    found = [entry | {"id": number, "area": entry["bbox"][2] * entry["bbox"][3]} for number, entry in results.items()]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator = COCOeval(_indexed(annotations), _indexed(found), "bbox")
        evaluator.params.iouThrs = np.array([0.5])
        evaluator.params.areaRng, evaluator.params.areaRngLbl = evaluator.params.areaRng[:1], ["all"]
        evaluator.params.maxDets = [100]
        evaluator.evaluate()
    hit, left_out, missed = set(), set(), set()
    for item in filter(None, evaluator.evalImgs):
        hit |= {number for number, match in zip(item["dtIds"], item["dtMatches"][0], strict=True) if match}
        left_out |= {number for number, ignored in zip(item["dtIds"], item["dtIgnore"][0], strict=True) if ignored}
        matches = zip(item["gtIds"], item["gtMatches"][0], item["gtIgnore"], strict=True)
        missed |= {number for number, match, ignored in matches if not match and not ignored}
    return hit, left_out, missed


@settings(max_examples=300)
@given(
    st.lists(st.tuples(WHERE, BOX, st.booleans()), max_size=8),
    st.lists(st.tuples(WHERE, BOX, st.sampled_from([0.4, 0.5, 0.9])), max_size=12),
)
def test_it_is_the_matching_of_pycocotools(truth, found):
    annotations = [_annotation(number, *entry) for number, entry in enumerate(truth, start=1)]
    results = {
        number: {"image_id": where[0], "category_id": where[1], "bbox": [float(side) for side in box], "score": score}
        for number, (where, box, score) in enumerate(found, start=1)
    }
    truths, detections = annotated(annotations), detected(list(results.values()))
    matching = match(truths, detections, 0.5)
    hit, left_out, missed = _reference(annotations, results)
    assert {int(place) + 1 for place in detections.place[matching.hit]} == hit
    assert {int(place) + 1 for place in detections.place[matching.left_out]} == left_out
    assert {int(place) + 1 for place in truths.place[~matching.found & ~truths.ignored]} == missed


def test_detections_come_by_image_class_and_falling_score_100_of_each():
    where = [(2, 1), (1, 2), (1, 1)]
    entries = [
        {"image_id": image, "category_id": category, "bbox": [0, 0, 1, 1], "score": number / 200}
        for number in range(120)
        for image, category in where
    ]
    boxes = detected(entries)
    assert len(boxes.place) == 300
    assert list(dict.fromkeys(zip(boxes.image.tolist(), boxes.category.tolist(), strict=True))) == [
        (1, 1), (1, 2), (2, 1),
    ]  # fmt: skip
    scores = [entries[place]["score"] for place in boxes.place[:100]]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == pytest.approx(20 / 200)


def test_nothing_to_match():
    boxes = match(annotated([]), detected([]), 0.5)
    assert (len(boxes.hit), len(boxes.left_out), len(boxes.found)) == (0, 0, 0)
