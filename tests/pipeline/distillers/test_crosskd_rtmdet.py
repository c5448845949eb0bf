"""CrossKD of RTMDet, for which no code was published, against the paper's formulas written out here."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.detectors.batch_norm import fold_batch_norm
from pipeline.distillers import Distiller, build_methods
from pipeline.errors import RecipeError
from tests.pipeline.distillers.test_crosskd import distillation_losses
from tests.stock_heads import TOWERED, in_evaluation

CROSSKD = {"type": "CrossKD", "reused_head_index": 1}


@pytest.fixture
def pair(make_detector: Any) -> tuple[Any, Any]:
    """A student without exponents and a teacher of twice its width with them, in evaluation; all norms differ."""
    torch.manual_seed(3)
    student, teacher = make_detector("RTMDet"), make_detector("RTMDet", width=64, exp_on_reg=True)
    for module in (*student.modules(), *teacher.modules()):
        if isinstance(module, nn.BatchNorm2d):
            # Exponents of what grows through many layers are not finite.
            nn.init.uniform_(module.weight.data, 0.5, 1.2)
            nn.init.uniform_(module.running_var, 0.8, 2.0)
            for values in (module.bias.data, module.running_mean):
                nn.init.normal_(values, std=0.3)
    return student, teacher


def aligned(student: Tensor, teacher: Tensor) -> Tensor:
    """Each channel with the teacher's mean and deviation over batch and space."""
    s, t = (maps.transpose(0, 1).flatten(1) for maps in (student, teacher))
    moved = (s - s.mean(1, keepdim=True)) / (s.std(1, keepdim=True) + 1e-6) * t.std(1, keepdim=True)
    moved = moved + t.mean(1, keepdim=True)
    return moved.unflatten(1, (len(student), *student.shape[2:])).transpose(0, 1)


def generalised_iou(one: Tensor, other: Tensor) -> Tensor:
    """By areas, of left, top, right and bottom distances from one point."""
    smaller, larger = one.minimum(other), one.maximum(other)

    def area(sides: Tensor) -> Tensor:
        return (sides[:, 0] + sides[:, 2]) * (sides[:, 1] + sides[:, 3])

    overlap = area(smaller)
    union = area(one) + area(other) - overlap
    hull = area(larger)
    return overlap / union - (hull - union) / hull


@torch.no_grad()
def by_hand(student: Any, teacher: Any, adapters: Any, images: Tensor) -> dict[str, Tensor]:
    """Sums of CrossKD's two losses, before they are divided by anything."""
    head_s, head_t = student.bbox_head, teacher.bbox_head
    features = zip(student.extract_feat(images), teacher.extract_feat(images), (8, 16, 32), strict=True)
    sums = {"cls": torch.zeros(()), "reg": torch.zeros(())}
    for level, (feature_s, feature_t, stride) in enumerate(features):
        cross, own = {}, {}
        for branch in ("cls", "reg"):
            tower_s, tower_t = (getattr(head, f"{branch}_convs")[level] for head in (head_s, head_t))
            predict = getattr(head_t, f"rtm_{branch}")[level]
            first = tower_t[0](feature_t)
            for sides, begin in ((own, first), (cross, aligned(adapters[branch](tower_s[0](feature_s)), first))):
                sides[branch] = predict(tower_t[1](begin)).permute(0, 2, 3, 1).flatten(0, 2)
        scores = own["cls"].sigmoid()
        entropy = F.binary_cross_entropy_with_logits(cross["cls"], scores, reduction="none")
        sums["cls"] += ((cross["cls"].sigmoid() - scores).abs() * entropy).sum()
        boxes = [(sides["reg"].exp() * stride) for sides in (cross, own)]
        sums["reg"] += ((1 - generalised_iou(*boxes)) * scores.amax(1)).sum()
    return sums


@pytest.fixture
def divisors(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the head's own losses average over the processes: the sum of the qualities that were assigned."""
    seen: list[float] = []

    def recording(value: Tensor) -> Tensor:
        seen.append(value.item())
        return value

    monkeypatch.setattr("mmdet.models.dense_heads.rtmdet_head.reduce_mean", recording)
    return seen


@pytest.mark.parametrize("fold", [lambda teacher: teacher, fold_batch_norm], ids=["as built", "folded"])
def test_losses_are_the_papers(
    pair: tuple[Any, Any], batch: dict[str, Any], divisors: list[float], fold: Callable[[Any], Any]
) -> None:
    student, teacher = pair
    folded = fold(deepcopy(teacher).eval())
    methods = build_methods([CROSSKD | {"adapter": True, "reg_weight": 2.0}], student, folded)
    got = distillation_losses(Distiller(student, folded, methods).eval(), batch)
    wanted = by_hand(student, teacher.eval(), methods[0].adapters, batch["inputs"])
    divisor = max(divisors[0], 1.0)
    assert got.keys() == {"loss_cls_kd", "loss_reg_kd"}
    assert got["loss_cls_kd"].item() == pytest.approx(wanted["cls"].item() / divisor, rel=1e-4)
    assert got["loss_reg_kd"].item() == pytest.approx(2 * wanted["reg"].item() / divisor, rel=1e-4)
    assert wanted["reg"] > 1


@pytest.mark.parametrize("family", TOWERED)
def test_a_student_that_is_its_teacher_loses_nothing(make_detector: Any, batch: dict[str, Any], family: str) -> None:
    # Only if the feature that is handed over is the teacher's own: an activation that is applied twice is not.
    teacher = make_detector(family, **({"exp_on_reg": True} if family == "RTMDet" else {})).eval()
    student = deepcopy(teacher)
    methods = build_methods([CROSSKD | {"center_weight": 0}], student, teacher)
    losses = distillation_losses(in_evaluation(Distiller(student, teacher, methods)), batch)
    assert losses.keys() == {"loss_cls_kd", "loss_reg_kd"}
    assert all(value.item() == pytest.approx(0, abs=1e-4) for value in losses.values())


@pytest.mark.parametrize("method", [CROSSKD, {"type": "CSKD"}])
@pytest.mark.parametrize("who", ["student", "teacher"])
def test_scores_of_two_layers_are_refused(make_detector: Any, who: str, method: dict[str, Any]) -> None:
    sides = {"student": make_detector("RTMDet"), "teacher": make_detector("RTMDet")}
    sides[who] = make_detector("RTMDet", with_objectness=True)
    with pytest.raises(RecipeError, match=rf"the {who}'s head \(RTMDetSepBNHead\) .*set bbox_head.with_objectness to"):
        build_methods([method], **sides)


def test_depthwise_towers_are_pairs_of_convolutions(make_detector: Any, batch: dict[str, Any]) -> None:
    depthwise = {"share_conv": False, "use_depthwise": True}
    student, teacher = make_detector("RTMDet", **depthwise), make_detector("RTMDet", width=64, **depthwise)
    methods = build_methods([CROSSKD | {"reused_head_index": 3, "adapter": True}], student, teacher)
    losses = distillation_losses(Distiller(student, teacher, methods).train(), batch)
    sum(losses.values()).backward()
    first, second = student.bbox_head.cls_convs[1]
    assert first.pointwise_conv.conv.weight.grad.any()
    assert second.depthwise_conv.conv.weight.grad.any()
    assert second.pointwise_conv.conv.weight.grad is None


def test_boxes_that_are_turned_inside_out_count_as_empty(make_detector: Any, batch: dict[str, Any]) -> None:
    # Without exponents a head may predict sides behind the point; mmdet's GIoU of two such boxes has no bound.
    student, teacher = make_detector("RTMDet"), make_detector("RTMDet", channels=8)
    for head in (student.bbox_head, teacher.bbox_head):
        for layer in head.rtm_reg:
            nn.init.constant_(layer.bias, -1.0)
    methods = build_methods([CROSSKD | {"cls_weight": 0}], student, teacher)
    loss = distillation_losses(Distiller(student, teacher, methods).eval(), batch)["loss_reg_kd"]
    cells = 2 * (8 * 8 + 4 * 4 + 2 * 2)
    assert 0 < loss < 2 * cells
