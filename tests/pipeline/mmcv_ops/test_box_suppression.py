"""NMS in its forms and overlaps: equal to references that go box by box."""

from math import exp

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmcv.ops import batched_nms, bbox_overlaps, nms, nms_match, soft_nms
from torch import Tensor

from pipeline.mmcv_ops import box_suppression


def brute_force_nms(boxes: Tensor, scores: Tensor, threshold: float) -> list[int]:
    """Greedy suppression, pair by pair, in float64: a box goes when its IoU with a kept one exceeds the threshold."""
    kept: list[int] = []
    for index in torch.argsort(scores, descending=True, stable=True).tolist():
        if all(iou(boxes[index], boxes[other]) <= threshold for other in kept):
            kept.append(index)
    return kept


def iou(first: Tensor, second: Tensor, offset: int = 0, of_first: bool = False) -> float:
    a, b = first.double().tolist(), second.double().tolist()
    width = max(min(a[2], b[2]) - max(a[0], b[0]) + offset, 0.0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]) + offset, 0.0)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    whole = areas[0] if of_first else sum(areas) - width * height
    return width * height / whole if whole > 0 else 0.0


corner = st.integers(0, 12)
side = st.integers(1, 8)


@given(
    corners=st.lists(st.tuples(corner, corner, side, side, st.integers(0, 3)), max_size=25),
    threshold=st.sampled_from([0.0, 0.31, 0.52, 0.73, 1.0]),
)
def test_nms_equals_brute_force(corners: list[tuple[int, ...]], threshold: float) -> None:
    # Small integers make many ties in score and in overlap; at the odd thresholds no IoU of theirs lies on the limit.
    boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h, _ in corners], dtype=torch.float32).reshape(-1, 4)
    scores = torch.tensor([score / 3 for *_, score in corners])
    kept = box_suppression.nms(boxes, scores, threshold, 0)
    assert kept.tolist() == brute_force_nms(boxes, scores, threshold)


def test_nms_of_many_random_boxes() -> None:
    generator = torch.Generator().manual_seed(3)
    corners = torch.rand(150, 2, generator=generator) * 60
    boxes = torch.cat([corners, corners + 5 + torch.rand(150, 2, generator=generator) * 25], dim=1)
    scores = torch.rand(150, generator=generator)
    detections, kept = nms(boxes, scores, 0.5)
    assert kept.tolist() == brute_force_nms(boxes, scores, 0.5)
    assert 0 < len(kept) < 150
    assert torch.equal(detections, torch.cat([boxes, scores[:, None]], dim=1)[kept])


def test_nms_of_nothing() -> None:
    assert box_suppression.nms(torch.zeros(0, 4), torch.zeros(0), 0.5, 0).shape == (0,)


def test_nms_per_class_keeps_overlapping_boxes_of_different_classes() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]] * 3)
    _, kept = batched_nms(
        boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 1]), {"type": "nms", "iou_threshold": 0.5}
    )
    assert sorted(kept.tolist()) == [0, 2]


def test_nms_with_pixel_offset_is_refused() -> None:
    with pytest.raises(NotImplementedError, match=r"offset=1 .* full mmcv"):
        box_suppression.nms(torch.zeros(1, 4), torch.zeros(1), 0.5, 1)


def random_boxes(count: int, seed: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 40
    sides = 5 + torch.rand(count, 2, generator=generator, dtype=torch.float64) * 25
    return torch.cat([corners, corners + sides], dim=1), torch.rand(count, generator=generator, dtype=torch.float64)


def soft_nms_by_definition(
    boxes: Tensor, scores: Tensor, method: str, threshold: float, sigma: float, least: float, offset: int
) -> list[tuple[int, float]]:
    """Figure 2 of Bodla et al., box by box."""
    waiting, taken = dict(enumerate(scores.tolist())), []
    while waiting:
        best = max(waiting, key=lambda index: waiting[index])
        taken.append((best, waiting.pop(best)))
        for other in list(waiting):
            overlap = iou(boxes[best], boxes[other], offset)
            lowered = {"naive": 0.0, "linear": 1 - overlap, "gaussian": exp(-(overlap**2) / sigma)}[method]
            waiting[other] *= lowered if method == "gaussian" or overlap >= threshold else 1.0
            if waiting[other] < least:
                del waiting[other]
    return taken


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms_equals_its_definition(method: str, offset: int) -> None:
    boxes, scores = random_boxes(30)
    given, of = (boxes.clone(), scores.clone()), {"iou_threshold": 0.3, "sigma": 0.4, "min_score": 0.05}
    detections, taken = soft_nms(boxes, scores, method=method, offset=offset, **of)
    expected = soft_nms_by_definition(boxes, scores, method, *of.values(), offset)
    assert taken.tolist() == [index for index, _ in expected]
    assert 3 < len(expected) < 30
    torch.testing.assert_close(detections[:, :4], boxes[taken], rtol=0, atol=0)
    torch.testing.assert_close(detections[:, 4].tolist(), [score for _, score in expected], rtol=1e-12, atol=0)
    assert torch.equal(boxes, given[0])
    assert torch.equal(scores, given[1])


def test_naive_soft_nms_keeps_what_nms_keeps() -> None:
    boxes, scores = random_boxes(40, seed=5)
    _, taken = soft_nms(boxes, scores, iou_threshold=0.4, min_score=1e-9, method="naive")
    assert taken.tolist() == brute_force_nms(boxes, scores, 0.4)


def test_soft_nms_per_class_and_of_nothing() -> None:
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0]] * 3)
    settings = {"type": "soft_nms", "iou_threshold": 0.5, "min_score": 0.05}
    found, kept = batched_nms(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0, 0, 1]), settings)
    assert kept.tolist() == [0, 2]
    assert found[:, 4].tolist() == pytest.approx([0.9, 0.7])
    nothing, taken = soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert (nothing.shape, taken.shape) == ((0, 5), (0,))


def test_groups_of_nms_match_are_those_that_nms_suppresses() -> None:
    boxes, scores = random_boxes(40, seed=6)
    dets = torch.cat([boxes, scores[:, None]], dim=1)
    groups = [group.tolist() for group in nms_match(dets, 0.3)]
    assert [group[0] for group in groups] == brute_force_nms(boxes, scores, 0.3)
    assert sorted(index for group in groups for index in group) == list(range(40))
    for place, (kept, *suppressed) in enumerate(groups):
        assert suppressed == sorted(suppressed, key=lambda index: -scores[index])
        for index in suppressed:
            assert iou(boxes[kept], boxes[index]) >= 0.3
            assert all(iou(boxes[earlier[0]], boxes[index]) < 0.3 for earlier in groups[:place])
    assert any(len(group) > 1 for group in groups)
    assert [group.tolist() for group in nms_match(dets.numpy(), 0.3)] == groups
    assert nms_match(np.zeros((0, 5)), 0.3) == []


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("mode", ["iou", "iof"])
def test_overlaps_equal_those_of_every_pair(mode: str, offset: int) -> None:
    (first, _), (second, _) = random_boxes(6), random_boxes(5, seed=7)
    expected = [[iou(a, b, offset, mode == "iof") for b in second] for a in first]
    found = bbox_overlaps(first, second, mode=mode, offset=offset)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)
    pairs = bbox_overlaps(first[:5], second, mode=mode, aligned=True, offset=offset)
    assert torch.equal(pairs, found[:5].diagonal())


def test_boxes_without_area_overlap_nothing_and_there_may_be_none() -> None:
    points = torch.tensor([[3.0, 3.0, 3.0, 3.0], [0.0, 0.0, 4.0, 4.0]])
    assert bbox_overlaps(points, points).tolist() == [[0.0, 0.0], [0.0, 1.0]]
    assert bbox_overlaps(torch.zeros(0, 4), points).shape == (0, 2)
