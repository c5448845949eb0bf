"""CrossKD of YOLOX, for which no code was published, against the paper's formulas written out here."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.distillers import Distiller, build_methods
from tests.pipeline.distillers.test_crosskd import distillation_losses
from tests.pipeline.distillers.test_crosskd_rtmdet import aligned

CROSSKD = {"type": "CrossKD", "reused_head_index": 1, "adapter": True}


@pytest.fixture
def pair(make_detector: Any) -> tuple[Any, Any]:
    """A student and a teacher of twice its width; all norms and objectness layers differ."""
    torch.manual_seed(3)
    student, teacher = make_detector("YOLOX"), make_detector("YOLOX", width=64)
    for module in (*student.modules(), *teacher.modules()):
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.normal_(module.running_mean, std=0.3)
    for detector in (student, teacher):
        for layer in detector.bbox_head.multi_level_conv_obj:
            nn.init.normal_(layer.weight, std=0.3)
    return student, teacher


def corners(regression: Tensor, stride: int, width: int) -> Tensor:
    places = torch.arange(len(regression)) % (width * width)
    centres = stride * (regression[:, :2] + torch.stack([places % width, places // width], dim=1))
    halves = stride * regression[:, 2:].exp() / 2
    return torch.cat([centres - halves, centres + halves], dim=1)


def generalised_iou(one: Tensor, other: Tensor) -> Tensor:
    def area(boxes: Tensor) -> Tensor:
        return (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)

    inner = torch.cat([one[:, :2].maximum(other[:, :2]), one[:, 2:].minimum(other[:, 2:])], dim=1)
    hull = area(torch.cat([one[:, :2].minimum(other[:, :2]), one[:, 2:].maximum(other[:, 2:])], dim=1))
    union = area(one) + area(other) - area(inner)
    return area(inner) / union - (hull - union) / hull


@torch.no_grad()
def by_hand(student: Any, teacher: Any, adapters: Any, images: Tensor) -> dict[str, Tensor]:
    """Sums of CrossKD's two losses, before they are divided by anything."""
    head_s, head_t = student.bbox_head, teacher.bbox_head
    features = zip(student.extract_feat(images), teacher.extract_feat(images), (8, 16, 32), strict=True)
    sums = {"cls": torch.zeros(()), "reg": torch.zeros(())}
    for level, (feature_s, feature_t, stride) in enumerate(features):
        last: dict[str, dict[str, Tensor]] = {"cross": {}, "own": {}}
        for branch in ("cls", "reg"):
            tower_s, tower_t = (getattr(head, f"multi_level_{branch}_convs")[level] for head in (head_s, head_t))
            first = tower_t[0](feature_t)
            last["own"][branch] = tower_t[1](first)
            last["cross"][branch] = tower_t[1](aligned(adapters[branch](tower_s[0](feature_s)), first))
        scores, boxes = {}, {}
        for side, at in last.items():
            classes, objects, regression = (
                getattr(head_t, f"multi_level_conv_{name}")[level](at[branch]).permute(0, 2, 3, 1).flatten(0, 2)
                for name, branch in (("cls", "cls"), ("obj", "reg"), ("reg", "reg"))
            )
            scores[side] = classes.sigmoid() * objects.sigmoid()
            boxes[side] = corners(regression, stride, feature_s.shape[3])
        entropy = F.binary_cross_entropy(scores["cross"], scores["own"], reduction="none")
        sums["cls"] += ((scores["cross"] - scores["own"]).abs() * entropy).sum()
        sums["reg"] += ((1 - generalised_iou(boxes["cross"], boxes["own"])) * scores["own"].amax(1)).sum()
    return sums


def test_losses_are_the_papers_with_probability_times_objectness_as_the_score(
    pair: tuple[Any, Any], batch: dict[str, Any]
) -> None:
    student, teacher = pair[0], pair[1].eval()
    methods = build_methods([CROSSKD | {"reg_weight": 2.0}], student, teacher)
    targets: list[Any] = []
    original = student.bbox_head._get_targets_single
    student.bbox_head._get_targets_single = lambda *a, **k: targets.append(original(*a, **k)) or targets[-1]
    got = distillation_losses(Distiller(student, teacher, methods).eval(), batch)
    wanted = by_hand(student, teacher, methods[0].adapters, batch["inputs"])
    positives = sum(found[-1] for found in targets)
    assert positives > 1
    assert got.keys() == {"loss_cls_kd", "loss_reg_kd"}
    assert got["loss_cls_kd"].item() == pytest.approx(wanted["cls"].item() / positives, rel=1e-4)
    assert got["loss_reg_kd"].item() == pytest.approx(2 * wanted["reg"].item() / positives, rel=1e-4)


def test_scores_teach_the_tower_of_the_boxes_too(pair: tuple[Any, Any], batch: dict[str, Any]) -> None:
    student, teacher = pair
    methods = build_methods([CROSSKD | {"reg_weight": 0}], student, teacher)
    distillation_losses(Distiller(student, teacher, methods).train(), batch)["loss_cls_kd"].backward()
    for tower in (student.bbox_head.multi_level_cls_convs, student.bbox_head.multi_level_reg_convs):
        assert tower[0][0].conv.weight.grad.any()
        assert tower[0][1].conv.weight.grad is None
