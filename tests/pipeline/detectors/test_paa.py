"""What the adapter of PAA reads of the head's own loss."""

from contextlib import ExitStack
from typing import Any

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn import functional as F

from pipeline.detectors import Assignment, family_of
from pipeline.detectors.recorder import record_results
from tests.pipeline.detectors.test_families import HEADS, Detector
from tests.stock_heads import ASSIGNERS

SIZES = (8, 4, 2)
META = {"img_shape": (64, 64, 3), "pad_shape": (64, 64, 3)}
BOXES = [[[4.0, 6.0, 40.0, 44.0], [30.0, 2.0, 62.0, 30.0]], [], [[2.0, 2.0, 30.0, 40.0]]]
TRAIN = ConfigDict(assigner=ConfigDict(ASSIGNERS["PAA"]), allowed_border=-1, pos_weight=-1, debug=False)


def own_losses(boxes: list[Any]) -> tuple[Any, dict[str, Tensor], Assignment, tuple[list[Tensor], ...]]:
    torch.manual_seed(0)
    detector = Detector(HEADS["PAA"] | {"train_cfg": TRAIN})
    head, family = detector.bbox_head, family_of(detector)
    generator = torch.Generator().manual_seed(1)
    outputs = tuple(
        [torch.randn(len(boxes), width, size, size, generator=generator) for size in SIZES] for width in (3, 4, 1)
    )
    instances = [
        InstanceData(bboxes=torch.tensor(each).reshape(-1, 4), labels=torch.arange(len(each))) for each in boxes
    ]
    with ExitStack() as stack:
        results = {name: stack.enter_context(record_results(head, name)) for name in family.recorded}
        losses = head.loss_by_feat(*outputs, instances, [META] * len(boxes))
    return head, losses, family.assignment(head, results), outputs


def rows(levels: list[Tensor], width: int) -> Tensor:
    return torch.cat([level.permute(0, 2, 3, 1).reshape(-1, width) for level in levels])


def test_the_assignment_is_what_the_heads_own_losses_are_made_of() -> None:
    head, losses, found, outputs = own_losses(BOXES)
    labels, qualities = torch.cat(found.labels), torch.cat(found.box_weights)
    positive = labels < 3
    assert [len(level) for level in found.labels] == [len(BOXES) * size * size for size in SIZES]
    assert found.positives == positive.sum() > 3
    scores = rows(outputs[0], 3).sigmoid()
    wanted = F.one_hot(labels, 4)[:, :3]
    right = torch.where(wanted == 1, scores, 1 - scores)
    focal = -torch.where(wanted == 1, 0.25, 0.75) * (1 - right) ** 2 * right.log()
    focal = (focal * torch.cat(found.label_weights)[:, None]).sum()
    assert losses["loss_cls"].item() == pytest.approx(focal.item() / found.positives, rel=1e-5)
    entropy = F.binary_cross_entropy_with_logits(rows(outputs[2], 1)[positive, 0], qualities[positive], reduction="sum")
    assert losses["loss_iou"].item() == pytest.approx(entropy.item() / found.positives, rel=1e-5)
    assert found.box_normaliser == pytest.approx(qualities.sum().item())
    boxes = torch.zeros(())
    for level, size in enumerate(SIZES):
        # In the order of the images: those of the class that are annotated in each.
        decoded = head.bbox_coder.decode(found.priors[level].repeat(len(BOXES), 1), rows([outputs[1][level]], 4))
        for place in (found.labels[level] < 3).nonzero()[:, 0].tolist():
            annotated = torch.tensor(BOXES[place // size**2][int(found.labels[level][place])])
            loss = head.loss_bbox(decoded[place][None], annotated[None])
            boxes += loss * found.box_weights[level][place]
    assert losses["loss_bbox"].item() == pytest.approx(boxes.item() / found.box_normaliser, rel=1e-4)


def test_without_boxes_the_scores_are_divided_by_the_images() -> None:
    _, losses, found, _ = own_losses([[], []])
    assert found.positives == 2
    assert not torch.cat(found.box_weights).any()
    assert 0 < found.box_normaliser < 1e-6
    assert losses["loss_bbox"] == 0
