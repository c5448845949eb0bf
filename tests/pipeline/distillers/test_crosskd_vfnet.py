"""CrossKD of VFNet, for which no code was published, against the papers' formulas written out here."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.distillers import Distiller, build_methods
from pipeline.errors import RecipeError
from tests.pipeline.distillers.test_crosskd import distillation_losses
from tests.pipeline.distillers.test_crosskd_rtmdet import aligned, generalised_iou
from tests.stock_heads import in_evaluation

CROSSKD = {"type": "CrossKD", "reused_head_index": 1}
DENOMINATORS = (64, 128, 256, 512, 1024)


@pytest.fixture
def pair(make_detector: Any) -> tuple[Any, Any]:
    torch.manual_seed(3)
    return make_detector("VFNet"), make_detector("VFNet", width=64)


def star(maps: Tensor, distances: Tensor, weight: Tensor) -> Tensor:
    """The convolution of nine points of each cell's box: its corners, the feet of its centre, and the cell itself."""
    height, width = maps.shape[2:]
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    left, top, right, bottom = distances.unbind(1)
    nothing = torch.zeros_like(left)
    found = torch.zeros(len(maps), len(weight), height, width)
    for row, down in enumerate((-top, nothing, bottom)):
        for column, across in enumerate((-left, nothing, right)):
            places = torch.stack([(x + across + 0.5) * 2 / width - 1, (y + down + 0.5) * 2 / height - 1], dim=-1)
            points = F.grid_sample(maps, places, align_corners=False)
            found += torch.einsum("nchw,kc->nkhw", points, weight[:, :, row, column])
    return found.relu()


def finished(head: Any, cls: Tensor, reg: Tensor, level: int) -> tuple[Tensor, Tensor]:
    """Rows of score logits and of distances in pixels from the towers' last features."""
    first = head.scales[level].scale * head.vfnet_reg(head.vfnet_reg_conv(reg))
    first = first.exp() * DENOMINATORS[level]
    cells = first / (8 * 2**level)
    factors = head.scales_refine[level].scale * head.vfnet_reg_refine(
        star(reg, cells, head.vfnet_reg_refine_dconv.weight)
    )
    scores = head.vfnet_cls(star(cls, cells, head.vfnet_cls_dconv.weight))
    rows = [maps.permute(0, 2, 3, 1).flatten(0, 2) for maps in (scores, factors.exp() * first)]
    return rows[0], rows[1]


@torch.no_grad()
def by_hand(student: Any, teacher: Any, adapters: Any, images: Tensor) -> dict[str, Tensor]:
    """Sums of CrossKD's two losses, before they are divided by anything."""
    head_s, head_t = student.bbox_head, teacher.bbox_head
    sums = {"cls": torch.zeros(()), "reg": torch.zeros(())}
    features = zip(student.extract_feat(images), teacher.extract_feat(images), strict=True)
    for level, (feature_s, feature_t) in enumerate(features):
        cross, own = {}, {}
        for branch in ("cls", "reg"):
            tower_s, tower_t = (getattr(head, f"{branch}_convs") for head in (head_s, head_t))
            first = tower_t[0](feature_t)
            handed_over = aligned(adapters[branch](tower_s[0](feature_s)), first).relu()
            own[branch], cross[branch] = tower_t[1](first), tower_t[1](handed_over)
        (logits, boxes), (logits_t, boxes_t) = (finished(head_t, **sides, level=level) for sides in (cross, own))
        scores = logits_t.sigmoid()
        entropy = F.binary_cross_entropy_with_logits(logits, scores, reduction="none")
        sums["cls"] += ((logits.sigmoid() - scores).abs() * entropy).sum()
        sums["reg"] += ((1 - generalised_iou(boxes, boxes_t)) * scores.amax(1)).sum()
    return sums


def test_losses_are_the_papers_of_the_refined_boxes(pair: tuple[Any, Any], batch: dict[str, Any]) -> None:
    student, teacher = pair[0], pair[1].eval()
    methods = build_methods([CROSSKD | {"adapter": True, "reg_weight": 2.0}], student, teacher)
    targets: list[Any] = []
    original = student.bbox_head.get_targets
    student.bbox_head.get_targets = lambda *a, **k: targets.append(original(*a, **k)) or targets[-1]
    got = distillation_losses(in_evaluation(Distiller(student, teacher, methods)), batch)
    wanted = by_hand(student, teacher, methods[0].adapters, batch["inputs"])
    positives = sum((level < 3).sum().item() for level in targets[0][0])
    assert positives > 1
    assert got.keys() == {"loss_cls_kd", "loss_reg_kd"}
    assert got["loss_cls_kd"].item() == pytest.approx(wanted["cls"].item() / positives, rel=1e-4)
    assert got["loss_reg_kd"].item() == pytest.approx(2 * wanted["reg"].item() / positives, rel=1e-4)


def test_scores_teach_the_tower_of_the_boxes_too(pair: tuple[Any, Any], batch: dict[str, Any]) -> None:
    student, teacher = pair
    methods = build_methods([CROSSKD | {"adapter": True, "reg_weight": 0}], student, teacher)
    distillation_losses(Distiller(student, teacher, methods).train(), batch)["loss_cls_kd"].backward()
    for tower in (student.bbox_head.cls_convs, student.bbox_head.reg_convs):
        assert tower[0].conv.weight.grad.any()
        assert tower[1].conv.weight.grad is None


@pytest.mark.parametrize("method", [CROSSKD, {"type": "CSKD"}])
def test_scores_that_are_no_qualities_are_refused(make_detector: Any, method: dict[str, Any]) -> None:
    student, teacher = make_detector("VFNet", use_vfl=False), make_detector("VFNet")
    with pytest.raises(RecipeError, match=r"the student's head \(VFNetHead\) .*set bbox_head.use_vfl to True"):
        build_methods([method], student, teacher)
