"""What the adapter of YOLOX reads of the head's own loss, and the logits of a product."""

from contextlib import ExitStack
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch.nn import functional as F

from pipeline.detectors import Assignment, family_of
from pipeline.detectors.recorder import record_results
from pipeline.detectors.yolox import joint_logits
from tests.pipeline.detectors.test_families import HEADS, Detector
from tests.stock_heads import ASSIGNERS

SIZES = (8, 4, 2)
# The boxes of the third image lie where no cell is.
BOXES = [
    [],
    [[4.0, 6.0, 40.0, 44.0], [30.0, 2.0, 62.0, 30.0]],
    [[900.0, 900.0, 910.0, 910.0]],
    [[2.0, 2.0, 30.0, 40.0]],
]
LABELS = [[], [2, 1], [0], [0]]


@pytest.fixture
def detector() -> Any:
    torch.manual_seed(0)
    return Detector(HEADS["YOLOX"] | {"train_cfg": ConfigDict(assigner=ConfigDict(ASSIGNERS["YOLOX"]))})


def outputs_of(images: int) -> tuple[list[torch.Tensor], ...]:
    generator = torch.Generator().manual_seed(1)
    return tuple([torch.randn(images, width, size, size, generator=generator) for size in SIZES] for width in (3, 4, 1))


def own_losses(detector: Any, outputs: Any, order: list[int]) -> tuple[dict[str, torch.Tensor], Assignment]:
    head, family = detector.bbox_head, family_of(detector)
    instances = [
        InstanceData(bboxes=torch.tensor(BOXES[at]).reshape(-1, 4), labels=torch.tensor(LABELS[at], dtype=torch.long))
        for at in order
    ]
    with ExitStack() as stack:
        results = {name: stack.enter_context(record_results(head, name)) for name in family.recorded}
        losses = head.loss_by_feat(*outputs, instances, [{"img_shape": (64, 64)}] * len(order))
    return losses, family.assignment(head, results)


def flat(levels: list[torch.Tensor], width: int) -> torch.Tensor:
    """``[N, L, width]``, an image after the other as the head has them."""
    return torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], dim=1).reshape(
        len(levels[0]), -1, width
    )


@pytest.mark.parametrize("order", [[1], [0, 1], [1, 0, 3], [2, 3, 0, 1]], ids=str)
def test_the_assignment_is_what_the_heads_own_losses_are_made_of(detector: Any, order: list[int]) -> None:
    outputs = outputs_of(len(order))
    losses, found = own_losses(detector, outputs, order)
    cells = [size * size for size in SIZES]
    assert [len(level) for level in found.labels] == [len(order) * count for count in cells]
    labels = torch.cat([level.reshape(len(order), -1) for level in found.labels], dim=1)
    positive = labels < 3
    assert found.positives == found.box_normaliser == positive.sum().item()
    # Every class that an image has a place for, and no other one.
    for row, at in zip(labels, order, strict=True):
        assert set(row[row < 3].tolist()) == (set() if at == 2 else set(LABELS[at]))
    assert torch.equal(torch.cat(found.box_weights) > 0, torch.cat(found.labels) < 3)
    objectness = flat(outputs[2], 1)[..., 0]
    entropy = F.binary_cross_entropy_with_logits(objectness, positive.float(), reduction="sum")
    assert losses["loss_obj"].item() == pytest.approx(entropy.item() / found.positives, rel=1e-5)
    boxes = torch.zeros(())
    for level, regression in enumerate(outputs[1]):
        rows = regression.permute(0, 2, 3, 1).reshape(-1, 4)
        decoded = family_of(detector).boxes(detector.bbox_head, found.priors[level].repeat(len(order), 1), rows)
        for place in (found.labels[level] < 3).nonzero()[:, 0].tolist():
            image = order[place // cells[level]]
            wanted = torch.tensor(BOXES[image])[LABELS[image].index(int(found.labels[level][place]))]
            boxes += 5 * (1 - overlap(decoded[place], wanted) ** 2)
    assert losses["loss_bbox"].item() == pytest.approx(boxes.item() / found.box_normaliser, rel=1e-4)


def overlap(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    sides = (one[2:].minimum(other[2:]) - one[:2].maximum(other[:2])).clamp(min=0)
    areas = sum((box[2:] - box[:2]).prod() for box in (one, other))
    return sides.prod() / (areas - sides.prod())


@pytest.mark.parametrize("order", [[0, 0], [0, 2]], ids=["no boxes", "boxes without a place"])
def test_without_positives_the_divisor_is_one(detector: Any, order: list[int]) -> None:
    _, found = own_losses(detector, outputs_of(2), order)
    assert (torch.cat(found.labels) == 3).all()
    assert found.positives == found.box_normaliser == 1


@given(st.floats(-200, 200), st.floats(-200, 200))
def test_joint_logits_are_those_of_the_product(one: float, other: float) -> None:
    a, b = torch.tensor(one, dtype=torch.float64), torch.tensor(other, dtype=torch.float64)
    found = joint_logits(a.reshape(1, 1, 1, 1), b.reshape(1, 1, 1, 1)).item()
    # log(p q) - log(1 - p q), where 1 - p q = (1 - p) + p (1 - q).
    product = F.logsigmoid(a) + F.logsigmoid(b)
    rest = torch.logaddexp(F.logsigmoid(-a), F.logsigmoid(a) + F.logsigmoid(-b))
    assert found == pytest.approx((product - rest).item(), rel=1e-4, abs=1e-4)


def test_one_objectness_goes_with_every_class() -> None:
    classes, objects = torch.tensor([2.0, -1.0]).reshape(1, 2, 1, 1), torch.full((1, 1, 1, 1), 0.5)
    wanted = classes.sigmoid() * objects.sigmoid()
    torch.testing.assert_close(joint_logits(classes, objects).sigmoid(), wanted)
