"""pycocotools run on wild inputs: what matching, precision and recall are held against."""

import contextlib
import io
from typing import Any

import numpy as np
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from deploy.runtime.detection_columns import DetectionColumns
from pipeline.evaluation.box_overlaps import FoundBoxes, TruthBoxes
from pipeline.evaluation.inputs import GroundTruth, read_detections

Entries = list[dict[str, Any]]

IMAGES, CATEGORIES = (3, 1, 2), (2, 1, 3)
# Few values, so that overlaps, scores and sizes are often equal; sides on COCO's limits, and beyond the largest.
SIDES = st.sampled_from([0.0, 1.0, 2.0, 3.0, 8.0, 32.0, 33.0, 96.0])
BOXES = st.tuples(st.integers(0, 6), st.integers(0, 6), SIDES, SIDES).map(list)
CORNERS = BOXES | st.just([0.0, 0.0, 2e5, 2e5])
PLACES = st.tuples(st.integers(1, 3), st.integers(1, 3))
CROWDS = st.sampled_from([0, 0, 0, 1])
SHARES = st.sampled_from([1.0, 1.0, 0.6, 0.0])
SCORES = st.sampled_from([0.0, 0.1, 0.5, 0.5, 0.9])


@st.composite
def truths(draw: st.DrawFn) -> Entries:
    """Annotations: crowds, areas that are not those of their boxes, areas that count in no range."""
    drawn = draw(st.lists(st.tuples(PLACES, CORNERS, CROWDS, SHARES), max_size=12))
    return [
        entry(*place, corners, area=corners[2] * corners[3] * share, iscrowd=crowd)
        for place, corners, crowd, share in drawn
    ]


@st.composite
def detections(draw: st.DrawFn) -> Entries:
    """Results whose scores are often tied."""
    drawn = draw(st.lists(st.tuples(PLACES, CORNERS, SCORES), max_size=16))
    return [entry(*place, corners, score=score) for place, corners, score in drawn]


def drawn(seed: int) -> tuple[Entries, Entries]:
    """Annotations and results on few places, so that many overlap, with crowds, ties and boxes without a side.

    A hundred times as fast as drawing by hypothesis.
    """
    random = np.random.default_rng(seed)

    def entries(most: int) -> Entries:
        return [
            entry(*random.integers(1, 3, 2).tolist(), [*random.integers(0, 5, 2).tolist(), *random.choice(sides, 2)])
            for _ in range(random.integers(0, most))
        ]

    sides = [0.0, 6.0, 8.0, 8.0, 8.0, 32.0]
    boxes, found = entries(14), entries(24)
    return (
        [item | {"iscrowd": int(random.random() < 0.15)} for item in boxes],
        [item | {"score": float(random.choice([0.0, 0.1, 0.5, 0.5, 0.9]))} for item in found],
    )


def entry(image: int, category: int, corners: list[float], **more: Any) -> dict[str, Any]:
    """An annotation or a result."""
    return {"image_id": image, "category_id": category, "bbox": corners} | more


def read(annotations: Entries, results: Entries) -> tuple[GroundTruth, DetectionColumns]:
    """Both as the evaluation has them."""
    images, categories = ({number: {"id": number} for number in numbers} for numbers in (IMAGES, CATEGORIES))
    ground_truth = GroundTruth(images, categories, annotations)
    return ground_truth, read_detections(results, ground_truth)


def columns(annotations: Entries, results: Entries) -> tuple[TruthBoxes, FoundBoxes]:
    """Both as boxes."""
    ground_truth, found = read(annotations, results)
    return ground_truth.boxes, FoundBoxes.of(found)


def evaluated(annotations: Entries, results: Entries, ious: np.ndarray | None = None) -> COCOeval:
    """pycocotools' evaluator after ``evaluate``; ids of the entries are their places from 1."""
    truth, found = _indexed(annotations), _indexed(results)
    evaluator = COCOeval(truth, found, "bbox")
    if ious is not None:
        evaluator.params.iouThrs = ious
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
    return evaluator


def summarized(annotations: Entries, results: Entries) -> COCOeval:
    """The same after ``accumulate`` and ``summarize``."""
    evaluator = evaluated(annotations, results)
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def _indexed(entries: Entries) -> COCO:
    coco = COCO()
    images = [{"id": number, "width": 9, "height": 9} for number in IMAGES]
    categories = [{"id": number, "name": str(number)} for number in CATEGORIES]
    numbered = [
        {"id": number, "iscrowd": 0, "area": item["bbox"][2] * item["bbox"][3]} | item
        for number, item in enumerate(entries, start=1)
    ]
    coco.dataset = {"images": images, "categories": categories, "annotations": numbered}
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    return coco
