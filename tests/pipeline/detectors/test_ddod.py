"""What the adapter of DDOD reads of the head's own loss."""

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
from tests.stock_heads import ASSIGNERS, REG_ASSIGNERS

SIZES = (8, 4, 2)
META = {"img_shape": (64, 64, 3), "pad_shape": (64, 64, 3)}
BOXES = [[[4.0, 6.0, 40.0, 44.0], [30.0, 2.0, 62.0, 30.0]], []]


def own_losses(boxes: list[Any]) -> tuple[Any, dict[str, Tensor], Assignment, tuple[list[Tensor], ...], Any]:
    assigners = {"assigner": ASSIGNERS["DDOD"], "reg_assigner": REG_ASSIGNERS["DDOD"]}
    train = ConfigDict(**assigners, allowed_border=-1, pos_weight=-1, debug=False)
    torch.manual_seed(0)
    detector = Detector(HEADS["DDOD"] | {"train_cfg": train})
    head, family = detector.bbox_head, family_of(detector)
    # The factors of the levels, which no method has, are 1.
    head.calc_reweight_factor = lambda labels: [1.0] * len(labels)
    generator = torch.Generator().manual_seed(2)
    outputs = tuple(
        [torch.randn(len(boxes), width, size, size, generator=generator) for size in SIZES] for width in (3, 4, 1)
    )
    instances = [
        InstanceData(bboxes=torch.tensor(each).reshape(-1, 4), labels=torch.arange(len(each))) for each in boxes
    ]
    with ExitStack() as stack:
        results = {name: stack.enter_context(record_results(head, name)) for name in family.recorded}
        losses = head.loss_by_feat(*outputs, instances, [META] * len(boxes))
    summed = {name: torch.stack(list(levels)).sum() for name, levels in losses.items()}
    return head, summed, family.assignment(head, results), outputs, results["get_cls_targets"][-1]


def rows(levels: list[Tensor], width: int) -> Tensor:
    return torch.cat([level.permute(0, 2, 3, 1).reshape(-1, width) for level in levels])


def test_the_assignment_is_what_the_heads_own_losses_are_made_of() -> None:
    head, losses, found, outputs, of_classes = own_losses(BOXES)
    labels = torch.cat([level.reshape(-1) for level in of_classes[1]])
    # The image without boxes counts as one positive.
    assert found.positives == (labels < 3).sum() + 1 > 2
    assert found.box_normaliser == sum((level < 3).sum() for level in found.labels) + 1 > 2
    assert not torch.equal(labels < 3, torch.cat(found.labels) < 3)  # two assigners
    scores, wanted = rows(outputs[0], 3).sigmoid(), F.one_hot(labels, 4)[:, :3]
    right = torch.where(wanted == 1, scores, 1 - scores)
    focal = -torch.where(wanted == 1, 0.25, 0.75) * (1 - right) ** 2 * right.log()
    focal = (focal * torch.cat(found.label_weights)[:, None]).sum()
    assert losses["loss_cls"].item() == pytest.approx(focal.item() / found.positives, rel=1e-5)
    boxes = torch.zeros(())
    for level, size in enumerate(SIZES):
        decoded = head.bbox_coder.decode(found.priors[level].repeat(2, 1), rows([outputs[1][level]], 4))
        for place in (found.labels[level] < 3).nonzero()[:, 0].tolist():
            annotated = torch.tensor(BOXES[place // size**2][int(found.labels[level][place])])
            boxes += head.loss_bbox(decoded[place][None], annotated[None]) * found.box_weights[level][place]
    assert losses["loss_bbox"].item() == pytest.approx(boxes.item() / found.box_normaliser, rel=1e-4)


def test_predicted_overlaps_are_divided_by_the_positives_of_the_boxes() -> None:
    head, _, found, _, _ = own_losses(BOXES)
    logits, targets = torch.tensor([0.3, -1.0]), torch.tensor([0.9, 0.2])
    adapter = family_of(Detector(HEADS["DDOD"]))
    wanted = F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / found.box_normaliser
    assert adapter.centerness_loss(head, logits, targets, found).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_without_boxes_the_divisors_are_the_images() -> None:
    _, _, found, _, _ = own_losses([[], []])
    assert found.positives == found.box_normaliser == 2
    assert not torch.cat(found.box_weights).any()
