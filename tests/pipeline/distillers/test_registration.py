"""A new family needs no method's file and a new method no adapter's."""

from typing import Any

import pytest
import torch

from pipeline.detectors import FAMILIES, Batch, DetectorKind, family_of
from pipeline.detectors.flow import LossDict
from pipeline.detectors.recorder import Taps
from pipeline.distillers import METHODS, Distiller, Method, build_methods
from pipeline.distillers.method import View
from pipeline.distillers.method_settings import MethodSettings, Weight, read_settings
from tests.stock_heads import TOWERED

METHODS_OF_A_RECIPE = [
    {"type": "CrossKD", "reused_head_index": 1, "adapter": True},
    {"type": "PKD", "adapter": True},
    {"type": "CSKD", "branch_adapt": True},
]


class MimicSettings(MethodSettings):
    weight: Weight = 1.0


class Mimic(Method):
    """Squared error of the FPN outputs."""

    settings_class = MimicSettings
    published = {"GFL": {"weight": 3.0}}  # noqa: RUF012
    settings: MimicSettings

    def student_taps(self) -> Taps:
        return {}

    def teacher_taps(self) -> Taps:
        return {}

    def losses(self, student: View, teacher: View, assignment: Any, batch: Batch) -> LossDict:
        pairs = zip(student.features, teacher.features, strict=True)
        return {"loss_mimic_kd": [self.settings.weight * (out_s - out_t).square().mean() for out_s, out_t in pairs]}


@pytest.mark.parametrize("base", TOWERED)
def test_every_method_runs_on_a_new_family(
    make_detector: Any, batch: dict[str, Any], monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    student, teacher = make_detector(base, width=32), make_detector(base, width=64, channels=8)
    adapter, head = type(family_of(student)), type(student.bbox_head)
    monkeypatch.setitem(FAMILIES, "NewHead", type("NewFamily", (adapter,), {"name": "New"}))
    new_head = type("NewHead", (head,), {})
    for detector in (student, teacher):
        detector.bbox_head.__class__ = new_head
    methods = build_methods(METHODS_OF_A_RECIPE, student, teacher)
    crosskd, pkd, cskd = methods
    assert crosskd.settings.reg_weight == 1.0
    assert crosskd.reg_loss == ("kl" if base == "GFL" else "giou")
    assert pkd.settings.weight == 2.0
    assert cskd.settings.cls_branch_weight == (1.0, 0.5)
    distiller = Distiller(student, teacher, methods).train()
    total, terms = distiller.parse_losses(distiller(**batch, mode="loss"))
    total.backward()
    assert {"loss_cls_kd", "loss_reg_kd", "loss_feat_kd", "loss_assist_reg_kd", "loss_tower_cls_kd"} <= terms.keys()
    assert [name for name, p in distiller.named_parameters() if p.requires_grad and p.grad is None] == []
    assert all(torch.isfinite(value) for value in terms.values())


@pytest.mark.parametrize(("family", "weight"), [("GFL", 3.0), ("FCOS", 1.0)])
def test_a_new_method_runs_on_known_families(
    make_detector: Any, batch: dict[str, Any], monkeypatch: pytest.MonkeyPatch, family: str, weight: float
) -> None:
    monkeypatch.setitem(METHODS, "Mimic", {DetectorKind.SINGLE_STAGE: Mimic})
    student, teacher = make_detector(family), make_detector(family, channels=8)
    (method,) = methods = build_methods([{"type": "Mimic"}], student, teacher)
    assert method.settings.weight == weight
    losses = Distiller(student, teacher, methods).train()(**batch, mode="loss")
    assert torch.stack(losses["loss_mimic_kd"]).sum() > 0


def test_published_settings_are_valid_and_of_families_that_exist() -> None:
    forms = {(name, form) for name, kinds in METHODS.items() for form in kinds.values()}
    for name, form in forms:
        assert form.published.keys() <= {family.name for family in FAMILIES.values()}
        for published in form.published.values():
            read_settings(name, form.settings_class, published, {})
