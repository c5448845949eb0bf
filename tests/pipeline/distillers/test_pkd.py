"""PKD: feature distillation without the heads, alone and beside CrossKD."""

from typing import Any

import pytest
import torch

from pipeline.distillers import Distiller, build_methods
from pipeline.distillers.losses import standardised_distance

PKD = {"type": "PKD"}


def feature_loss(distiller: Distiller, batch: dict[str, Any]) -> torch.Tensor:
    return torch.stack(distiller(**batch, mode="loss")["loss_feat_kd"])


def test_it_reaches_neck_and_backbone_and_no_head(make_gfl: Any, batch: dict[str, Any]) -> None:
    student, teacher = make_gfl(), make_gfl(channels=8)
    distiller = Distiller(student, teacher, build_methods([PKD], student, teacher)).train()
    feature_loss(distiller, batch).sum().backward()
    assert all(p.grad is None for p in student.bbox_head.parameters())
    for part in (student.neck, student.backbone):
        assert any(p.grad is not None and p.grad.any() for p in part.parameters())
    assert all(p.grad is None for p in teacher.parameters())


def test_alone_it_does_not_run_the_teachers_head(make_gfl: Any, batch: dict[str, Any]) -> None:
    student, teacher = make_gfl(), make_gfl(channels=8)
    calls: list[object] = []
    teacher.bbox_head.register_forward_hook(lambda *_: calls.append(None))
    losses = Distiller(student, teacher, build_methods([PKD], student, teacher)).train()(**batch, mode="loss")
    assert calls == []
    assert [name for name in losses if name.endswith("_kd")] == ["loss_feat_kd"]


def test_beside_crosskd_both_are_as_they_are_alone(make_gfl: Any, batch: dict[str, Any]) -> None:
    student, teacher = make_gfl().eval(), make_gfl(channels=8)
    crosskd = {"type": "CrossKD", "reused_head_index": 1}

    def losses(*methods: dict[str, Any]) -> dict[str, Any]:
        return Distiller(student, teacher, build_methods(list(methods), student, teacher))(**batch, mode="loss")

    both, first, second = losses(crosskd, PKD), losses(crosskd), losses(PKD)
    assert both.keys() == first.keys() | second.keys()
    for name, values in both.items():
        torch.testing.assert_close(values, first.get(name, second.get(name)), rtol=0, atol=0)


def test_other_heads_and_widths_are_fine_with_an_adapter(make_detector: Any, batch: dict[str, Any]) -> None:
    student, teacher = make_detector("FCOS", width=32), make_detector("ATSS", width=64)
    distiller = Distiller(student, teacher, build_methods([PKD | {"adapter": True}], student, teacher)).train()
    distiller.parse_losses(distiller(**batch, mode="loss"))[0].backward()
    assert [name for name, p in distiller.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize(("family", "weight"), [("GFL", 6), ("RetinaNet", 2), ("FCOS", 2), ("ATSS", 1)])
def test_the_default_weight_is_the_published_one(make_detector: Any, family: str, weight: float) -> None:
    student = make_detector(family)
    assert build_methods([PKD], student, student)[0].settings.weight == weight


def test_it_is_one_minus_the_correlation() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    correlations = [
        torch.corrcoef(torch.stack([student[:, channel].flatten(), teacher[:, channel].flatten()]))[0, 1]
        for channel in range(5)
    ]
    cells = 2 * 3 * 4
    wanted = (1 - torch.stack(correlations).mean()) * (cells - 1) / cells
    assert standardised_distance(student, teacher).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert standardised_distance(3 * student - 7, teacher).item() == pytest.approx(wanted.item(), rel=1e-5)


def test_a_map_of_one_cell_is_zero_and_part_of_the_graph() -> None:
    student = torch.randn(1, 4, 1, 1, requires_grad=True)
    loss = standardised_distance(student, torch.randn(1, 4, 1, 1))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(student.grad, torch.zeros_like(student))
