"""PKD: feature distillation without the heads, alone and beside CrossKD."""

from typing import Any

import pytest
import torch

from pipeline.detectors import FAMILIES
from pipeline.distillers import Distiller, build_methods
from pipeline.distillers.losses import standardised_distance
from pipeline.errors import RecipeError
from tests.other_detectors import annotated_batch, other_detector

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


def test_no_adapter_of_either_head_is_asked_for(
    make_gfl: Any, batch: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = make_gfl(), make_gfl()
    distiller = Distiller(student, teacher, build_methods([PKD | {"weight": 6.0}], student, teacher)).train()
    known = distiller(**batch, mode="loss")
    monkeypatch.delitem(FAMILIES, "GFLHead")
    unknown = Distiller(student, teacher, build_methods([PKD | {"weight": 6.0}], student, teacher)).train()
    torch.testing.assert_close(unknown(**batch, mode="loss"), known, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("student", "teacher", "levels"),
    [("cascade", "dino", 4), ("dino", "cascade", 4), ("centernet", "cascade", 1), ("cascade", "centernet", 1)],
)
def test_any_two_detectors_with_a_common_stride(student: str, teacher: str, levels: int) -> None:
    inputs, samples = annotated_batch()
    pair = other_detector(student), other_detector(teacher)
    calls: list[object] = []
    for name, part in pair[1].named_children():
        if name not in ("backbone", "neck", "data_preprocessor"):
            for module in part.modules():
                module.register_forward_hook(lambda *_: calls.append(None))
    distiller = Distiller(*pair, build_methods([PKD | {"adapter": True}], *pair)).train()
    losses = distiller(inputs, samples, mode="loss")
    assert calls == []
    assert len(losses["loss_feat_kd"]) == levels
    loss, terms = distiller.parse_losses(losses)
    assert terms["loss_feat_kd"] > 0
    loss.backward()
    assert all(p.grad is None for p in pair[1].parameters())
    assert all(p.grad is not None and p.grad.any() for p in pair[0].neck.parameters() if p.grad is not None)


def test_the_levels_compared_are_those_of_equal_stride(make_detector: Any) -> None:
    """By hand: the student's 8 to 64 are the first four of its five, the teacher's the last four of its five."""
    inputs, samples = annotated_batch()
    student, teacher = make_detector("RetinaNet", width=16).eval(), other_detector("cascade").eval()
    losses = Distiller(student, teacher, build_methods([PKD], student, teacher))(inputs, samples, mode="loss")
    with torch.no_grad():
        features_s, features_t = student.extract_feat(inputs)[:4], teacher.extract_feat(inputs)[1:]
    expected = [2.0 * standardised_distance(s, t) for s, t in zip(features_s, features_t, strict=True)]
    torch.testing.assert_close(losses["loss_feat_kd"], expected, rtol=0, atol=0)


def test_a_recipe_pairs_strides_that_differ(make_detector: Any) -> None:
    inputs, samples = annotated_batch()
    student, teacher = make_detector("RetinaNet", width=16).eval(), other_detector("centernet").eval()
    with pytest.raises(RecipeError, match=r"PKD: the student has the strides \[8, .*, the teacher \[4\]: none is"):
        build_methods([PKD], student, teacher)
    method = PKD | {"levels": [[8, 4]]}
    losses = Distiller(student, teacher, build_methods([method], student, teacher))(inputs, samples, mode="loss")
    with torch.no_grad():
        larger = torch.nn.functional.interpolate(student.extract_feat(inputs)[0], size=(16, 16), mode="bilinear")
        expected = 2.0 * standardised_distance(larger, teacher.extract_feat(inputs)[0])
    torch.testing.assert_close(losses["loss_feat_kd"], [expected], rtol=0, atol=0)


@pytest.mark.parametrize("levels", ["8", [8, 8], [["8", "8"]], [[8.0, 8.0]]])
def test_levels_of_another_form_are_refused(make_gfl: Any, levels: Any) -> None:
    student = make_gfl()
    with pytest.raises(RecipeError, match=r"PKD: levels is .*; give pairs of strides such as \[\[8, 8\], \[16, 32\]\]"):
        build_methods([PKD | {"levels": levels}], student, student)


def test_each_pair_of_widths_has_an_adapter(make_detector: Any) -> None:
    student, teacher = make_detector("RetinaNet", width=32), other_detector("dino")
    teacher.neck.extra_convs[0].conv = torch.nn.Conv2d(64, 32, 3, stride=2, padding=1, bias=False)
    teacher.neck.extra_convs[0].gn = torch.nn.GroupNorm(32, 32)
    with pytest.raises(RecipeError, match="the student's FPN is 32 channels wide and the teacher's 256; set `adapter="):
        build_methods([PKD], student, teacher)
    method = build_methods([PKD | {"adapter": True}], student, teacher)[0]
    shapes = {name: tuple(value.shape[:2]) for name, value in method.state_dict().items() if "weight" in name}
    assert shapes == {"adapters.32_256.weight": (256, 32), "adapters.32_32.weight": (32, 32)}


@pytest.mark.parametrize("method", ["CrossKD", "CSKD"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("dino", r"not written for the student's kind of detector \(other\), a DINO; choose of \['PKD'\]"),
        ("centernet", "no distillation adapter for CenterNetHead; .* PKD, which compares FPN outputs alone, needs"),
        ("cascade", "CrossKD is not written|a CascadeRCNN, is no Faster R-CNN: roi_head is a CascadeRoIHead.*PKD"),
    ],
)
def test_the_other_methods_say_what_fits(method: str, name: str, message: str) -> None:
    student = other_detector(name)
    with pytest.raises(RecipeError, match=message):
        build_methods([{"type": method}], student, other_detector(name))


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
