"""Which detections of two lists are the same object."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deploy.runtime.detections import Detections
from deploy.runtime.matching import match, pairwise_iou
from tests.deploy.tiny import SPEC

BOX = (10.0, 10.0, 30.0, 30.0)


def found(*rows: tuple[Sequence[float], float, int]) -> Detections:
    boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
    scores, labels = np.array([row[1] for row in rows], np.float32), np.array([row[2] for row in rows], np.int64)
    return Detections(boxes, scores, labels, SPEC.classes)


def test_each_detection_has_one_partner() -> None:
    twice = found((BOX, 0.9, 0), (BOX, 0.8, 0))
    assert match(twice, found((BOX, 0.9, 0))).tolist() == [[0, 0]]


def test_the_closest_box_is_the_partner() -> None:
    near = (12.0, 10.0, 32.0, 30.0)
    assert match(found((BOX, 0.9, 0), (near, 0.8, 0)), found((near, 0.8, 0), (BOX, 0.9, 0))).tolist() == [
        [0, 1],
        [1, 0],
    ]


boxes = st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 20), st.integers(1, 20)).map(
    lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3])
)
lists = st.lists(st.tuples(boxes, st.floats(0.0625, 1, width=32), st.integers(0, 1)), max_size=6).map(
    lambda rows: found(*rows)
)


@given(lists, lists)
def test_no_index_is_paired_twice_and_every_pair_is_of_one_class(first: Detections, second: Detections) -> None:
    pairs = match(first, second)
    assert len(set(pairs[:, 0].tolist())) == len(set(pairs[:, 1].tolist())) == len(pairs)
    assert (first.labels[pairs[:, 0]] == second.labels[pairs[:, 1]]).all()
    assert len(match(first, first)) == len(first)


@given(lists, lists)
def test_iou_counts_pixels(first: Detections, second: Detections) -> None:
    def covered(box: np.ndarray) -> np.ndarray:
        canvas = np.zeros((64, 64), bool)
        x1, y1, x2, y2 = box.astype(int)
        canvas[y1:y2, x1:x2] = True
        return canvas

    expected = [
        [(covered(a) & covered(b)).sum() / (covered(a) | covered(b)).sum() for b in second.boxes] for a in first.boxes
    ]
    found_iou = pairwise_iou(first.boxes, second.boxes)
    np.testing.assert_allclose(found_iou, np.array(expected).reshape(found_iou.shape), rtol=1e-6)
