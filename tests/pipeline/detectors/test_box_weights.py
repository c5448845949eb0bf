"""Boxes that count less in a detector's own losses."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from pipeline.detectors.box_weights import coded_label, decode_labels, place_weights, weight_losses, weight_regions

CLASSES = 3


def sample(boxes: list[list[float]], weights: list[float], uncertain: list[list[float]] = []) -> Any:  # noqa: B006
    made = DetDataSample()
    labels = [coded_label(1, weight, CLASSES) for weight in weights]
    made.gt_instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float).reshape(-1, 4), labels=torch.tensor(labels, dtype=torch.long)
    )
    made.ignored_instances = InstanceData(
        bboxes=torch.tensor(uncertain, dtype=torch.float).reshape(-1, 4),
        labels=torch.tensor([coded_label(0, 0.0, CLASSES)] * len(uncertain), dtype=torch.long),
    )
    decode_labels([made], CLASSES)
    return made


@given(label=st.integers(0, CLASSES - 1), weight=st.floats(0, 1))
def test_a_weight_comes_back_to_a_thousandth_with_the_class(label: int, weight: float) -> None:
    made = SimpleNamespace(
        gt_instances=SimpleNamespace(labels=torch.tensor([coded_label(label, weight, CLASSES), label])),
        get=lambda name: None,
    )
    decode_labels([made], CLASSES)
    assert made.gt_instances.labels.tolist() == [label, label]
    assert made.gt_instances.weights[0].item() == pytest.approx(weight, abs=5.001e-4)
    assert made.gt_instances.weights[1].item() == 1.0


def test_a_place_counts_what_the_smallest_box_around_it_does() -> None:
    made = sample([[0, 0, 20, 20], [4, 4, 8, 8]], [0.8, 0.5], uncertain=[[15, 15, 40, 40]])
    points = torch.tensor([[2.0, 2.0], [6.0, 6.0], [18.0, 18.0], [30.0, 30.0], [50.0, 50.0]])
    # In the uncertain box, and in a sure one too: the sure one is an object there.
    torch.testing.assert_close(place_weights(points, made), torch.tensor([0.8, 0.5, 0.8, 0.0, 1.0]))


def test_losses_send_back_weighted_gradients_and_see_equal_numbers() -> None:
    made = sample([[0, 0, 16, 16]], [0.25], uncertain=[[16, 16, 32, 32]])
    maps = torch.randn(1, 2, 4, 4, requires_grad=True)
    ((weighted,),) = weight_losses([[maps]], [made], [(8, 8)])
    assert torch.equal(weighted, maps)
    weighted.sum().backward()
    wanted = torch.ones(4, 4)
    wanted[:2, :2], wanted[2:, 2:] = 0.25, 0.0
    torch.testing.assert_close(maps.grad, wanted.expand(1, 2, 4, 4))


def test_boxes_that_people_drew_change_nothing() -> None:
    made = sample([[0, 0, 16, 16]], [1.0])
    outputs = [[torch.zeros(1, 2, 4, 4)]]
    assert weight_losses(outputs, [made], [8]) is outputs


def test_what_was_drawn_as_a_crowd_is_the_assigners_business() -> None:
    made = sample([], [])
    made.ignored_instances = InstanceData(bboxes=torch.tensor([[0.0, 0, 9, 9]]), labels=torch.tensor([1]))
    decode_labels([made], CLASSES)
    assert place_weights(torch.tensor([[4.0, 4.0]]), made).tolist() == [1.0]


def test_regions_count_by_their_image_and_centre() -> None:
    samples = [sample([[0, 0, 10, 10]], [0.5]), sample([], [], uncertain=[[0, 0, 10, 10]])]
    rois = torch.tensor([[0, 2.0, 2, 6, 6], [1, 2, 2, 6, 6], [1, 20, 20, 30, 30]])
    scores: Tensor = torch.zeros(3, 4, requires_grad=True)
    (weighted,) = weight_regions([scores], rois, samples)
    weighted.sum().backward()
    assert scores.grad is not None
    assert scores.grad[:, 0].tolist() == [0.5, 0.0, 1.0]
