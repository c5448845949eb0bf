"""The operators against brute force in numpy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import batched_nms

from deploy.graph.nms import nms_keep, nms_keep_in_passes, rounded_down, top_candidates

LEVELS = np.array([0.0, 0.25, 0.5, 1.0], np.float32)


def iou(a: np.ndarray, b: np.ndarray) -> np.float32:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), np.float32(0))
    height = max(min(a[3], b[3]) - max(a[1], b[1]), np.float32(0))
    shared = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union else np.float32(0)


def brute_force(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, threshold: float) -> np.ndarray:
    keep = np.zeros(len(boxes), bool)
    for index in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        rivals = [k for k in np.flatnonzero(keep) if labels[k] == labels[index]]
        keep[index] = scores[index] > 0 and all(float(iou(boxes[k], boxes[index])) <= threshold for k in rivals)
    return keep


@st.composite
def candidates(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes on a coarse grid with few score values: many ties, many exact IoUs, some boxes without area."""
    images, count, classes = draw(st.integers(0, 3)), draw(st.integers(1, 12)), draw(st.sampled_from([1, 3, 80]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    corner = rng.integers(0, 8, (images, count, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 8, (images, count, 2))], axis=-1).astype(np.float32)
    return boxes, rng.choice(LEVELS, (images, count)), rng.integers(0, classes, (images, count))


@given(candidates(), st.sampled_from([0.3, 0.5, 0.6, 1.0]))
@settings(max_examples=150)
def test_nms_equals_brute_force(case: tuple[np.ndarray, np.ndarray, np.ndarray], threshold: float) -> None:
    boxes, scores, labels = case
    keep = nms_keep(*map(torch.tensor, case), 80, threshold)
    expected = [brute_force(*image, threshold) for image in zip(boxes, scores, labels, strict=True)]
    assert keep.shape == scores.shape
    assert keep.tolist() == [mask.tolist() for mask in expected]


def test_nms_equals_torchvision_on_many_boxes_of_many_classes() -> None:
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand((1000, 2), generator=generator) * 100
    boxes = torch.cat([corner, corner + 30 + torch.rand((1000, 2), generator=generator) * 20], dim=1)
    scores, labels = torch.rand(1000, generator=generator), torch.randint(0, 7, (1000,), generator=generator)
    keep = nms_keep(boxes[None], scores[None], labels[None], 7, 0.6)[0]
    expected = batched_nms(boxes.double(), scores.double(), labels, 0.6)
    assert keep.nonzero().flatten().tolist() == sorted(expected.tolist())
    assert 100 < keep.sum() < 900


def chain(length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each box overlaps the next by IoU 0.6 and the one after that by 1/3; scores fall along the chain."""
    left = torch.arange(float(length)) * 2
    boxes = torch.stack([left, torch.zeros(length), left + 8, torch.full((length,), 10.0)], dim=1)
    return boxes[None], torch.linspace(0.9, 0.1, length)[None], torch.zeros((1, length), dtype=torch.int64)


def test_a_suppressed_box_suppresses_nothing() -> None:
    assert nms_keep(*chain(9), 1, 0.5)[0].tolist() == [True, False] * 4 + [True]


@given(candidates(), st.sampled_from([0.3, 0.5, 0.6, 1.0]))
@settings(max_examples=100)
def test_nms_in_passes_equals_brute_force(case: tuple[np.ndarray, np.ndarray, np.ndarray], threshold: float) -> None:
    boxes, scores, labels = case
    # No chain among m boxes has more than m - 1 links.
    keep = nms_keep_in_passes(*map(torch.tensor, case), threshold, passes=scores.shape[1])
    expected = [brute_force(*image, threshold) for image in zip(boxes, scores, labels, strict=True)]
    assert keep.shape == scores.shape
    assert keep.tolist() == [mask.tolist() for mask in expected]


@given(candidates(), st.integers(1, 6))
@settings(max_examples=100)
def test_too_few_passes_bound_the_exact_result(case: tuple[np.ndarray, np.ndarray, np.ndarray], passes: int) -> None:
    inputs = tuple(map(torch.tensor, case))
    exact, found = nms_keep(*inputs, 80, 0.5), nms_keep_in_passes(*inputs, 0.5, passes)
    smaller, larger = (exact, found) if passes % 2 == 0 else (found, exact)
    assert not (smaller & ~larger).any()


def test_a_chain_is_settled_one_link_a_pass() -> None:
    # Eight links: exact from eight passes on. Before, what lies further down the chain is kept or lost as a whole.
    exact = [True, False] * 4 + [True]
    found = {passes: nms_keep_in_passes(*chain(9), 0.5, passes)[0].tolist() for passes in range(1, 10)}
    assert found[8] == found[9] == exact
    assert found[7] == [*exact[:8], False]
    assert found[2] == [True, False] + [True] * 7
    assert found[3] == [True, False, True] + [False] * 6


def test_nms_in_passes_decides_as_nms_on_many_boxes_of_many_classes() -> None:
    generator = torch.Generator().manual_seed(1)
    corner = torch.rand((2, 400, 2), generator=generator) * 100
    boxes = torch.cat([corner, corner + 30 + torch.rand((2, 400, 2), generator=generator) * 20], dim=-1)
    scores, labels = torch.rand((2, 400), generator=generator), torch.randint(0, 7, (2, 400), generator=generator)
    exact = nms_keep(boxes, scores, labels, 7, 0.6)
    assert torch.equal(nms_keep_in_passes(boxes, scores, labels, 0.6, 16), exact)
    assert not torch.equal(nms_keep_in_passes(boxes, scores, labels, 0.6, 2), exact)


@given(st.integers(0, 3), st.integers(1, 40), st.data())
@settings(max_examples=100)
def test_top_candidates_is_a_stable_sort(images: int, size: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, size))
    scores = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))).choice(LEVELS, (images, size))
    values, indices = top_candidates(torch.tensor(scores), count)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    assert indices.shape == (images, count)
    assert indices.tolist() == expected.tolist()
    assert values.tolist() == np.take_along_axis(scores, expected, axis=1).tolist()


def test_more_candidates_than_scores_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="out of range"):
        top_candidates(torch.rand(1, 3), 4)


def test_operators_agree_with_their_shape_functions() -> None:
    scores = torch.rand(2, 6)
    torch.library.opcheck(top_candidates, (scores, 4), test_utils="test_faketensor")
    labels = torch.zeros((2, 6), dtype=torch.int64)
    torch.library.opcheck(nms_keep, (torch.rand(2, 6, 4), scores, labels, 1, 0.5), test_utils="test_faketensor")


@given(st.floats(1e-6, 1))
def test_rounded_threshold_decides_as_the_exact_one(threshold: float) -> None:
    limit = np.float32(rounded_down(threshold))
    nearest = np.float32(threshold)
    around = [np.nextafter(nearest, np.float32(-math.inf)), nearest, np.nextafter(nearest, np.float32(math.inf))]
    assert [overlap > limit for overlap in around] == [float(overlap) > threshold for overlap in around]
