"""What the adapter of VFNet reads of the head's own loss."""

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
BOXES = [[[4.0, 6.0, 40.0, 44.0], [30.0, 2.0, 62.0, 30.0]], []]
TRAIN = ConfigDict(assigner=ConfigDict(ASSIGNERS["VFNet"]), allowed_border=-1, pos_weight=-1, debug=False)


def detector_of(**changes: Any) -> Any:
    torch.manual_seed(0)
    return Detector(HEADS["VFNet"] | {"train_cfg": TRAIN} | changes)


def own_losses(
    detector: Any, outputs: Any, boxes: list[Any] = BOXES, meta: dict[str, Any] = META
) -> tuple[dict[str, Tensor], Assignment, Any]:
    head, family = detector.bbox_head, family_of(detector)
    instances = [
        InstanceData(bboxes=torch.tensor(each).reshape(-1, 4), labels=torch.arange(len(each))) for each in boxes
    ]
    with ExitStack() as stack:
        results = {name: stack.enter_context(record_results(head, name)) for name in family.recorded}
        losses = head.loss_by_feat(*outputs, instances, [meta] * len(boxes))
    return losses, family.assignment(head, results), results["get_targets"][-1]


def outputs(scale: float = 20.0) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    generator = torch.Generator().manual_seed(1)
    logits, first, refined = (
        [torch.rand(2, width, size, size, generator=generator) for size in SIZES] for width in (3, 4, 4)
    )
    return [2 * level - 1 for level in logits], [scale * level for level in first], [scale * level for level in refined]


@pytest.mark.parametrize("use_atss", [True, False])
@pytest.mark.parametrize("scale", [20.0, 1e-3])
def test_the_assignment_is_what_the_heads_own_losses_are_made_of(scale: float, use_atss: bool) -> None:
    """With boxes that meet the annotated ones, and with some so small that the divisor of theirs is 1."""
    detector, made = detector_of(use_atss=use_atss), outputs(scale)
    losses, found, targets = own_losses(detector, made)
    labels, qualities = torch.cat(found.labels), torch.cat(found.box_weights)
    assert found.positives == (labels < 3).sum() > 2
    assert (found.box_normaliser == 1) == (scale < 1)
    assert found.box_normaliser == pytest.approx(max(qualities.sum().item(), 1.0))
    assert [len(level) for level in found.labels] == [2 * size * size for size in SIZES]
    logits = torch.cat([level.permute(0, 2, 3, 1).reshape(-1, 3) for level in made[0]])
    wanted = F.one_hot(labels, 4)[:, :3] * qualities[:, None]
    weights = torch.where(wanted > 0, wanted, 0.75 * logits.sigmoid() ** 2)
    entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    assert losses["loss_cls"].item() == pytest.approx((entropy * weights).sum().item() / found.positives, rel=1e-5)
    boxes = torch.zeros(())
    for level, (labels_of, maps) in enumerate(zip(found.labels, made[2], strict=True)):
        at = labels_of < 3
        points = found.priors[level].repeat(2, 1)[at]
        regression = maps.permute(0, 2, 3, 1).reshape(-1, 4)[at]
        decoded, meant = (
            family_of(detector).boxes(detector.bbox_head, points, side) for side in (regression, targets[2][level][at])
        )
        each = detector.bbox_head.loss_bbox_refine(decoded, meant, reduction_override="none")
        boxes += (each * found.box_weights[level][at]).sum()
    assert losses["loss_bbox_rf"].item() == pytest.approx(boxes.item() / found.box_normaliser, rel=1e-5)


def test_points_in_the_padding_are_ignored() -> None:
    _, found, _ = own_losses(detector_of(), outputs(), meta={"img_shape": (32, 64, 3), "pad_shape": (32, 64, 3)})
    assert found.label_weights[0].reshape(2, 8, 8)[:, :, 0].tolist() == [[1.0] * 4 + [0.0] * 4] * 2


def test_without_positives_the_divisors_are_one() -> None:
    _, found, _ = own_losses(detector_of(), outputs(), [[], []])
    assert found.positives == found.box_normaliser == 1
    assert not torch.cat(found.box_weights).any()


@pytest.mark.parametrize(("norm", "unit"), [("reg_denom", 128.0), ("stride", 16.0)])
def test_distances_are_compared_in_what_the_layers_learn(norm: str, unit: float) -> None:
    detector = detector_of(bbox_norm_type=norm)
    maps = {"cls": torch.ones(1), "reg": torch.full((1, 4, 1, 1), unit)}
    found = family_of(detector).in_training_units(detector.bbox_head, maps, level=1)
    assert found["reg"].flatten().tolist() == [1.0] * 4


def test_the_quality_loss_is_the_varifocal_loss() -> None:
    # Of one cell with a quality of 0.25 in class 1, and of one without: Zhang et al., eq. 2.
    detector, logits = detector_of(), torch.tensor([[0.5, -1.0, 0.0], [1.0, -2.0, 0.3]])
    labels, qualities, weights = torch.tensor([1, 3]), torch.tensor([0.25, 0.0]), torch.tensor([1.0, 0.5])
    found = family_of(detector).quality_loss(detector.bbox_head, logits, labels, qualities, weights, 4.0)
    scores = logits.sigmoid()
    nothing = -0.75 * scores**2 * (1 - scores).log()
    there = -0.25 * (0.25 * scores[0, 1].log() + 0.75 * (1 - scores[0, 1]).log())
    wanted = nothing[0, 0] + there + nothing[0, 2] + 0.5 * nothing[1].sum()
    assert found.item() == pytest.approx(wanted.item() / 4, rel=1e-5)
