"""What the adapter of RTMDet reads of the head's own loss, and the heads that cannot be gone through."""

from contextlib import ExitStack
from typing import Any

import pytest
import torch
from mmdet.registry import TASK_UTILS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch.nn import functional as F

from pipeline.detectors import Assignment, family_of
from pipeline.detectors.recorder import record_results
from tests.pipeline.detectors.test_families import CASES, HEADS, Detector
from tests.stock_heads import ASSIGNERS

SIZES = (8, 4, 2)
META = {"img_shape": (60, 64, 3), "pad_shape": (60, 64, 3)}
BOXES = [[[4.0, 6.0, 40.0, 44.0], [30.0, 2.0, 62.0, 30.0]], []]


def own_losses(
    detector: Any, outputs: Any, meta: dict[str, Any] = META
) -> tuple[dict[str, torch.Tensor], Assignment, list[Any]]:
    head, family = detector.bbox_head, family_of(detector)
    instances = [
        InstanceData(bboxes=torch.tensor(boxes).reshape(-1, 4), labels=torch.arange(len(boxes))) for boxes in BOXES
    ]
    with ExitStack() as stack:
        results = {name: stack.enter_context(record_results(head, name)) for name in family.recorded}
        losses = head.loss_by_feat(*outputs, instances, [meta] * 2)
    summed = {name: torch.stack(levels).sum() for name, levels in losses.items()}
    return summed, family.assignment(head, results), results["get_targets"][-1]


def detector_of(case: str) -> Any:
    torch.manual_seed(0)
    assigner = ConfigDict(ASSIGNERS["RTMDet"])
    train = ConfigDict(assigner=assigner, allowed_border=-1, pos_weight=-1, debug=False)
    detector: Any = Detector(CASES[case] | {"train_cfg": train})
    assert isinstance(detector.bbox_head.assigner, TASK_UTILS.get("DynamicSoftLabelAssigner"))
    return detector


@pytest.mark.parametrize("case", ["RTMDet", "RTMDet with exponents"])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_the_assignment_is_what_the_heads_own_losses_are_made_of(case: str, scale: float) -> None:
    """With boxes that meet the annotated ones, and with some so small that the divisor is 1."""
    detector = detector_of(case)
    generator = torch.Generator().manual_seed(1)
    logits = [torch.randn(2, 3, size, size, generator=generator) for size in SIZES]
    distances = [torch.rand(2, 4, size, size, generator=generator) * 20 * scale for size in SIZES]
    losses, found, targets = own_losses(detector, (logits, distances))
    qualities = torch.cat(found.box_weights)
    assert (qualities.sum() < 1) == (scale < 1)
    assert found.positives == found.box_normaliser == max(qualities.sum().item(), 1.0)
    assert [len(level) for level in found.labels] == [2 * size * size for size in SIZES]
    assert found.priors[1][:2].tolist() == [[0.0, 0.0], [16.0, 0.0]]
    total = torch.zeros(())
    for level, maps in enumerate(logits):
        rows = maps.permute(0, 2, 3, 1).reshape(-1, 3)
        wanted = F.one_hot(found.labels[level], 4)[:, :3] * found.box_weights[level][:, None]
        modulation = (rows.sigmoid() - wanted).abs() ** 2
        each = F.binary_cross_entropy_with_logits(rows, wanted, reduction="none") * modulation
        total += (each * found.label_weights[level][:, None]).sum()
    assert losses["loss_cls"].item() == pytest.approx(total.item() / found.positives, rel=1e-5)
    boxes = torch.zeros(())
    for level, maps in enumerate(distances):
        regression = maps.permute(0, 2, 3, 1).reshape(-1, 4)
        decoded = family_of(detector).boxes(detector.bbox_head, found.priors[level].repeat(2, 1), regression)
        at = found.labels[level] < 3
        each = detector.bbox_head.loss_bbox(
            decoded[at], targets[3][level].reshape(-1, 4)[at], reduction_override="none"
        )
        boxes += (each * found.box_weights[level][at]).sum()
    assert losses["loss_bbox"].item() == pytest.approx(boxes.item() / found.box_normaliser, rel=1e-5)


def test_points_in_the_padding_are_ignored() -> None:
    outputs = tuple([torch.ones(2, width, size, size) for size in SIZES] for width in (3, 4))
    _, found, _ = own_losses(detector_of("RTMDet"), outputs, {"img_shape": (32, 64, 3), "pad_shape": (32, 64, 3)})
    assert found.label_weights[0].reshape(2, 8, 8)[:, :, 0].tolist() == [[1.0] * 4 + [0.0] * 4] * 2


def test_distances_are_compared_in_strides() -> None:
    detector = Detector(HEADS["RTMDet"])
    maps = {"cls": torch.ones(1), "reg": torch.full((1, 4, 1, 1), 64.0)}
    found = family_of(detector).in_training_units(detector.bbox_head, maps, level=2)
    assert found["reg"].flatten().tolist() == [2.0] * 4
    assert found["cls"] is maps["cls"]


def test_a_head_with_objectness_is_told() -> None:
    head = Detector(HEADS["RTMDet"] | {"with_objectness": True}).bbox_head
    detector = Detector(HEADS["RTMDet"])
    family = family_of(detector)
    assert family.obstacles(detector.bbox_head) == []
    (obstacle,) = family.obstacles(head)
    assert obstacle.endswith("set bbox_head.with_objectness to False")


def test_boxes_that_are_compared_are_not_turned_and_their_sides_still_learn() -> None:
    head = detector_of("RTMDet").bbox_head
    points, sides = torch.tensor([[20.0, 20.0]]), torch.tensor([[-3.0, 5.0, 6.0, -1.0]], requires_grad=True)
    boxes = family_of(detector_of("RTMDet")).compared(head, points, sides)
    assert boxes.tolist() == [[20.0, 15.0, 26.0, 20.0]]
    wanted = torch.tensor([[10.0, 10.0, 30.0, 30.0]])
    loss = head.loss_bbox(boxes, wanted, torch.ones(1, 4), avg_factor=1.0)
    loss.backward()
    assert loss > 0
    assert sides.grad is not None
    assert (sides.grad < 0).all()  # all four grow towards the box
