"""Lists that NMS may keep of given candidates when rounding turns it over, and lists that it may not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import nms

from deploy.graph.suppression_check import kept_of
from deploy.runtime.detections import Detections
from tests.deploy.tiny import SPEC

LIMITS = replace(SPEC, score_threshold=0.05, nms_iou_threshold=0.6, max_detections=3)
# The two boxes that changed places in a run of the embedded data: their scores are 6e-8 apart.
FIRST = ((111.95738, 67.27814, 154.03268, 128.49527), 0.25138116, 1)
SECOND = ((113.9496, 67.926834, 153.5415, 125.68822), 0.25138122, 1)
# Suppressed by the second alone.
UNDER_SECOND = ((113.9496, 67.926834, 153.5415, 105.0), 0.18, 1)
FAR = ((10.0, 10.0, 30.0, 30.0), 0.8, 0)


def found(*rows: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    boxes = np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4)
    scores, labels = np.array([row[1] for row in rows], np.float32), np.array([row[2] for row in rows], np.int64)
    return Detections(boxes, scores, labels, SPEC.classes)


CANDIDATES = found(FAR, SECOND, FIRST, UNDER_SECOND)


def test_either_of_two_equal_scores_may_win() -> None:
    assert np.array_equal(kept_of(CANDIDATES, found(FAR, SECOND), LIMITS), [[0, 0], [1, 1]])
    assert np.array_equal(kept_of(CANDIDATES, found(FAR, FIRST, UNDER_SECOND), LIMITS), [[0, 0], [2, 1], [3, 2]])


@pytest.mark.parametrize(
    "kept",
    [
        found(FAR, FIRST, SECOND),
        found(FAR),
        found(FAR, FIRST),
        found(),
        found(FAR, SECOND, ((10.0, 10.0, 30.0, 29.0), 0.8, 0)),
        found(((10.0, 10.0, 30.0, 30.02), 0.8, 0), SECOND),
        found((FAR[0], 0.79, 0), SECOND),
        found((FAR[0], 0.8, 1), SECOND),
    ],
    ids=["both", "neither", "lost", "nothing", "twice", "moved", "score", "class"],
)
def test_what_nms_cannot_keep_is_refused(kept: Detections) -> None:
    assert kept_of(CANDIDATES, kept, LIMITS) is None


def test_a_lower_score_suppresses_nothing() -> None:
    lower = (SECOND[0], 0.2, 1)
    assert kept_of(found(FIRST, lower), found(lower), LIMITS) is None


def test_what_a_full_list_or_the_threshold_cuts_is_not_missed() -> None:
    at_the_threshold = ((60.0, 10.0, 80.0, 30.0), 0.05005, 0)
    assert kept_of(found(FAR, at_the_threshold), found(FAR), LIMITS) is not None
    assert kept_of(CANDIDATES, found(FAR, FIRST), replace(LIMITS, max_detections=2)) is not None


def test_nothing_of_nothing() -> None:
    assert np.array_equal(kept_of(found(), found(), LIMITS), np.zeros((0, 2)))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_nms_of_rounded_candidates_is_recognised_and_of_another_threshold_is_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spec = replace(LIMITS, max_detections=100)
    corners = rng.uniform(0, 40, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 40, (40, 2))], axis=1).astype(np.float32)
    # Few levels of score, so that many are equal and rounding decides.
    scores = rng.choice(np.linspace(0.1, 0.9, 4), 40).astype(np.float32)
    candidates = Detections(boxes, scores, np.zeros(40, np.int64), SPEC.classes)

    def greedy(threshold: float) -> Detections:
        rounded = (scores * (1 + rng.uniform(-1e-7, 1e-7, 40))).astype(np.float32)
        kept = nms(torch.tensor(boxes), torch.tensor(rounded), threshold).numpy()
        return Detections(boxes[kept], rounded[kept], np.zeros(len(kept), np.int64), SPEC.classes)

    pairs = kept_of(candidates, greedy(0.6), spec)
    assert pairs is not None
    assert len(set(pairs[:, 0])) == len(pairs)
    looser = greedy(0.8)
    overlaps = [nms(torch.tensor(looser.boxes), torch.tensor(looser.scores), 0.61)]
    if len(overlaps[0]) < len(looser):
        assert kept_of(candidates, looser, spec) is None


def test_voted_boxes_are_known_by_what_they_are_made_of() -> None:
    moved = [((box[0] + 3, *box[1:]), score, label) for box, score, label in (FAR, SECOND, FIRST, UNDER_SECOND)]
    voted = found(*moved)
    assert kept_of(CANDIDATES, found(*moved[:2]), LIMITS) is None
    assert np.array_equal(kept_of(CANDIDATES, found(*moved[:2]), LIMITS, voted), [[0, 0], [1, 1]])
    assert kept_of(CANDIDATES, found(FAR, SECOND), LIMITS, voted) is None
    assert kept_of(CANDIDATES, found(*moved[:3]), LIMITS, voted) is None
