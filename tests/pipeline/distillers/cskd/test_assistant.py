"""The assistant of a family whose scores are qualities and whose boxes are numbers, written out cell by cell."""

from typing import Any

import pytest
import torch
from torch.nn import functional as F

from pipeline.distillers import Distiller, build_methods
from tests.pipeline.distillers.cskd.test_single_stage import distillation_losses
from tests.pipeline.distillers.test_crosskd_rtmdet import generalised_iou


def overlap(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """IoU of left, top, right and bottom distances from one point, ``[4]`` each."""
    common, areas = one.minimum(other), [(each[0] + each[2]) * (each[1] + each[3]) for each in (one, other)]
    shared = (common[0] + common[2]) * (common[1] + common[3])
    return shared / (areas[0] + areas[1] - shared)


def test_the_assistant_of_rtmdet_by_hand(
    make_detector: Any, batch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    student = make_detector("RTMDet", exp_on_reg=True)
    teacher = make_detector("RTMDet", width=64, channels=8, exp_on_reg=True)
    methods = build_methods([{"type": "CSKD", "branch_adapt": True}], student, teacher)
    distiller, assistant = Distiller(student, teacher, methods).eval(), methods[0].assistant
    head, assigned = type(student.bbox_head), []
    original = head.get_targets
    monkeypatch.setattr(head, "get_targets", lambda *a, **k: assigned.append(original(*a, **k)) or assigned[0])
    got = distillation_losses(distiller, batch)
    _, labels, weights, _, metrics, _ = assigned[0]
    assert all((level == 1).all() for level in weights)
    divisor = max(sum(level.sum().item() for level in metrics), 1.0)
    scores, boxes, positives = torch.zeros(()), torch.zeros(()), 0
    with torch.no_grad():
        features_s, features_t = student.extract_feat(batch["inputs"]), teacher.extract_feat(batch["inputs"])
        _, distances_t = teacher.bbox_head(features_t)
        for level, out in enumerate(features_s):
            towers = {"cls": out, "reg": out}
            for branch in towers:
                for conv in getattr(student.bbox_head, f"{branch}_convs")[level]:
                    towers[branch] = conv(towers[branch])
            logits = assistant.rtm_cls[level](towers["cls"])
            distances = assistant.rtm_reg[level](towers["reg"]).exp() * 8 * 2**level
            wanted = torch.zeros_like(logits)
            for image, place in (labels[level] < 3).nonzero().tolist():
                y, x = divmod(place, out.shape[3])
                one, other = (maps[image, :, y, x] for maps in (distances, distances_t[level]))
                wanted[image, labels[level][image, place], y, x] = overlap(one, other)
                quality = metrics[level][image, place]
                boxes += 2 * quality * (1 - generalised_iou(one[None], other[None])).sum()
                positives += 1
            entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
            scores += (entropy * (logits.sigmoid() - wanted) ** 2).sum()
    assert positives > 2
    assert got["loss_assist_cls_kd"].item() == pytest.approx((scores / divisor).item(), rel=1e-4)
    assert got["loss_assist_reg_kd"].item() == pytest.approx((boxes / divisor).item(), rel=1e-3)
