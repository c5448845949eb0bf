"""Boxes that count less: in every family's own losses, and not in those of a method."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData
from torch import Tensor

from pipeline.detectors.box_weights import coded_label
from pipeline.distillers import Distiller, build_methods
from tests.deformable_detectors import deformable_detector
from tests.pipeline.distillers.faster_rcnn import make_faster
from tests.stock_heads import TOWERED

CLASSES = 3
EVERYWHERE = [[-1e4, -1e4, 1e4, 1e4]]
FASTER_RCNN, TOOD = "Faster R-CNN", "TOOD"


def coded(batch: dict[str, Any], weight: float, uncertain: list[list[float]]) -> dict[str, Any]:
    """The batch with its boxes at a weight, and uncertain boxes in each image."""
    for sample in batch["data_samples"]:
        labels = [coded_label(label, weight, CLASSES) for label in sample.gt_instances.labels.tolist()]
        sample.gt_instances.labels = torch.tensor(labels, dtype=torch.long)
        sample.ignored_instances = InstanceData(
            bboxes=torch.tensor(uncertain).reshape(-1, 4),
            labels=torch.tensor([coded_label(0, 0.0, CLASSES)] * len(uncertain), dtype=torch.long),
        )
    return batch


def gradients(distiller: Distiller, batch: dict[str, Any]) -> dict[str, Tensor]:
    distiller.zero_grad()
    torch.manual_seed(0)  # of sampled regions
    distiller.parse_losses(distiller(**batch, mode="loss"))[0].backward()
    return {
        name: torch.zeros_like(each) if each.grad is None else each.grad.clone()
        for name, each in distiller.student.named_parameters()
    }


def made(family: str, make_detector: Any, width: int = 32) -> Any:
    if family == TOOD:
        MessageHub.get_current_instance().update_info("epoch", 0)
        return deformable_detector("tood")
    return make_faster() if family == FASTER_RCNN else make_detector(family, width=width)


@pytest.mark.parametrize("family", [*TOWERED, TOOD, FASTER_RCNN])
def test_boxes_of_full_weight_teach_as_ever_and_what_is_uncertain_teaches_nothing(
    make_detector: Any, batch: dict[str, Any], family: str
) -> None:
    student = made(family, make_detector).train()
    # DDOD's head keeps counts from batch to batch.
    plain = gradients(Distiller(deepcopy(student)), batch)
    distiller = Distiller(student, coded_classes=CLASSES)
    torch.testing.assert_close(gradients(distiller, coded(batch, 1.0, [])), plain, rtol=0, atol=0)
    for sample in batch["data_samples"]:
        sample.gt_instances = sample.gt_instances[:0]
    unsure = gradients(distiller, coded(batch, 1.0, EVERYWHERE))
    assert any(each.any() for each in plain.values())
    assert not any(each.any() for each in unsure.values())


@pytest.mark.parametrize("family", TOWERED)
def test_methods_learn_where_no_box_does(make_detector: Any, batch: dict[str, Any], family: str) -> None:
    student, teacher = made(family, make_detector).train(), made(family, make_detector)
    methods = build_methods([{"type": "CrossKD", "reused_head_index": 1}], student, teacher)
    for sample in batch["data_samples"]:
        sample.gt_instances = sample.gt_instances[:0]
    distiller = Distiller(student, teacher, methods, coded_classes=CLASSES)
    assert any(each.any() for each in gradients(distiller, coded(batch, 1.0, EVERYWHERE)).values())
