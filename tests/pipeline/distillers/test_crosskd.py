"""CrossKD for every family: where its gradients go, what a batch without boxes does, and what it leaves alone."""

from typing import Any

import pytest
import torch
from mmdet.models.losses import GIoULoss

from pipeline.detectors import family_of
from pipeline.distillers import Distiller, build_methods
from tests.pipeline.distillers.assignments import keep_first_assignment
from tests.stock_heads import TOWERED, in_evaluation

CROSSKD = {"type": "CrossKD", "reused_head_index": 1}


def make_distiller(make_detector: Any, family: str, width: int = 32, **method: Any) -> Distiller:
    student, teacher = make_detector(family, width=width), make_detector(family, channels=8)
    return Distiller(student, teacher, build_methods([CROSSKD | method], student, teacher)).train()


def distillation_losses(distiller: Distiller, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    losses = distiller(**batch, mode="loss")
    return {
        name: torch.stack(value).sum() if isinstance(value, list) else value
        for name, value in losses.items()
        if name.endswith("_kd")
    }


def touched(module: torch.nn.Module) -> bool:
    return any(p.grad is not None and p.grad.any() for p in module.parameters())


def untouched(module: torch.nn.Module) -> bool:
    return all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize("family", TOWERED)
def test_gradients_reach_the_reused_layers_and_nothing_behind_them(
    make_detector: Any, batch: dict[str, Any], family: str
) -> None:
    distiller = make_distiller(make_detector, family)
    before = {name: value.clone() for name, value in distiller._teacher.state_dict().items()}
    sum(distillation_losses(distiller, batch).values()).backward()
    head, adapter = distiller.student.bbox_head, family_of(distiller.student)
    first, second = (
        [layer for branch in ("cls", "reg") for layer in adapter.tower_layer(head, branch, number)] for number in (1, 2)
    )
    reached = [*first, distiller.student.neck, distiller.student.backbone]
    spared = [*second, *(getattr(head, name) for name in adapter.predictors)]
    assert all(touched(module) for module in reached)
    assert all(untouched(module) for module in spared)
    assert untouched(distiller._teacher)
    assert all(torch.equal(value, before[name]) for name, value in distiller._teacher.state_dict().items())


@pytest.mark.parametrize(
    ("family", "keys"),
    [
        ("GFL", {"loss_cls_kd", "loss_reg_kd"}),
        ("RetinaNet", {"loss_cls_kd", "loss_reg_kd"}),
        ("FCOS", {"loss_cls_kd", "loss_reg_kd"}),
        ("ATSS", {"loss_cls_kd", "loss_reg_kd", "loss_center_kd"}),
        ("RTMDet", {"loss_cls_kd", "loss_reg_kd"}),
    ],
)
def test_the_published_losses_of_each_family(
    make_detector: Any, batch: dict[str, Any], family: str, keys: set[str]
) -> None:
    losses = distillation_losses(make_distiller(make_detector, family), batch)
    assert losses.keys() == keys
    assert all(value.item() > 0 for value in losses.values())


@pytest.mark.parametrize("family", TOWERED)
def test_every_trainable_parameter_gets_a_gradient(make_detector: Any, batch: dict[str, Any], family: str) -> None:
    distiller = make_distiller(make_detector, family, width=64, adapter=True)
    distiller.parse_losses(distiller(**batch, mode="loss"))[0].backward()
    missing = [name for name, p in distiller.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


@pytest.mark.parametrize("family", TOWERED)
def test_a_batch_without_any_box_stays_small(make_detector: Any, batch: dict[str, Any], family: str) -> None:
    distiller = make_distiller(make_detector, family)
    batch["data_samples"] = [batch["data_samples"][1]] * 2
    total, terms = distiller.parse_losses(distiller(**batch, mode="loss"))
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in distiller.parameters() if p.grad is not None)
    assert all(value.item() < 1e4 for name, value in terms.items() if name.endswith("_kd"))


@pytest.mark.parametrize("family", TOWERED)
def test_single_cell_levels_are_finite(make_detector: Any, batch: dict[str, Any], family: str) -> None:
    # Batch and group normalisation themselves refuse a single value while they train.
    student, teacher = make_detector(family, width=64), make_detector(family, width=64, channels=8)
    distiller = in_evaluation(Distiller(student, teacher, build_methods([CROSSKD], student, teacher)))
    one = {"inputs": batch["inputs"][:1], "data_samples": batch["data_samples"][:1]}
    distiller.parse_losses(distiller(**one, mode="loss"))[0].backward()
    assert all(torch.isfinite(p.grad).all() for p in distiller.parameters() if p.grad is not None)


@pytest.mark.parametrize("family", TOWERED)
def test_mixed_precision_gives_nearly_the_same_losses(
    make_detector: Any, batch: dict[str, Any], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    student, teacher = make_detector(family, width=64), make_detector(family, channels=8)
    keep_first_assignment(student, monkeypatch)
    methods = build_methods([CROSSKD | {"adapter": True}, {"type": "PKD", "adapter": True}], student, teacher)
    distiller = in_evaluation(Distiller(student, teacher, methods))
    distiller.use_channels_last()
    exact = distillation_losses(distiller, batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = distillation_losses(distiller, batch)
    assert all(value.dtype == torch.float for value in mixed.values())
    for name, value in exact.items():
        assert mixed[name].item() == pytest.approx(value.item(), rel=0.1), name


@pytest.mark.parametrize(
    ("off", "branch"), [("cls_weight", "cls_convs"), ("reg_weight", "reg_convs"), ("center_weight", None)]
)
def test_a_loss_that_is_off_costs_nothing(
    make_detector: Any, batch: dict[str, Any], off: str, branch: str | None
) -> None:
    rest = {"center_weight": 0} if off == "reg_weight" else {}
    distiller = make_distiller(make_detector, "ATSS", width=64, adapter=True, **{off: 0, **rest})
    key = off.replace("weight", "kd")
    calls: list[object] = []
    if branch:
        getattr(distiller._teacher.bbox_head, branch)[1].register_forward_hook(lambda *_: calls.append(None))
    losses = distillation_losses(distiller, batch)
    assert f"loss_{key}" not in losses
    assert len(losses) == 2 - len(rest)
    sum(losses.values()).backward()
    assert all(touched(adapter) for adapter in distiller.methods[0].adapters.values())
    if branch:
        assert len(calls) == 5  # the teacher's own five levels, and no cross branch
        assert untouched(getattr(distiller.student.bbox_head, branch))


@pytest.mark.parametrize("family", ["ATSS", "PAA", "DDOD"])
def test_box_distillation_looks_at_decoded_boxes(make_detector: Any, batch: dict[str, Any], family: str) -> None:
    # Independent of the method: the whole cross branch by hand, for hand-over of the last tower feature.
    student, teacher = make_detector(family), make_detector(family, channels=8)
    divisors: list[float] = []
    student.bbox_head.loss_cls.register_forward_pre_hook(
        lambda _, args, given: divisors.append(given["avg_factor"]), with_kwargs=True
    )
    method = CROSSKD | {"reused_head_index": 2, "cls_weight": 0, "center_weight": 0}
    distiller = Distiller(student, teacher, build_methods([method], student, teacher)).eval()
    got = distillation_losses(distiller, batch)["loss_reg_kd"]
    head = teacher.bbox_head
    wanted = torch.zeros(())
    with torch.no_grad():
        features, student_features = teacher.extract_feat(batch["inputs"]), student.extract_feat(batch["inputs"])
        for level, (out_t, out_s) in enumerate(zip(features, student_features, strict=True)):
            logits, deltas, _ = head.forward_single(out_t, head.scales[level])
            for conv in head.reg_convs:
                out_t = conv(out_t)
            for conv in student.bbox_head.reg_convs:
                out_s = conv(out_s)
            s, t = (maps.permute(1, 0, 2, 3).flatten(1) for maps in (out_s, out_t))
            aligned = (s - s.mean(1, keepdim=True)) / (s.std(1, keepdim=True) + 1e-6) * t.std(1, keepdim=True)
            aligned = (aligned + t.mean(1, keepdim=True)).relu().unflatten(1, (len(out_s), *out_s.shape[2:]))
            cross = head.scales[level](head.atss_reg(aligned.permute(1, 0, 2, 3)))
            priors = head.prior_generator.single_level_grid_priors(out_s.shape[2:], level, device="cpu").repeat(2, 1)
            boxes = [head.bbox_coder.decode(priors, d.permute(0, 2, 3, 1).reshape(-1, 4)) for d in (cross, deltas)]
            weights = logits.amax(1).sigmoid().flatten()
            distances = GIoULoss(reduction="none")(*boxes)
            wanted += (distances * weights).sum()
    # PAA's last one is that of its loss, those before rank its candidates.
    assert divisors[-1] > 1
    assert got.item() == pytest.approx((wanted / divisors[-1]).item(), rel=1e-4)


@pytest.mark.parametrize("family", TOWERED)
def test_targets_are_assigned_once(
    make_detector: Any, batch: dict[str, Any], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    distiller = make_distiller(make_detector, family)
    head, calls = type(distiller.student.bbox_head), []
    method = family_of(distiller.student).recorded[0]
    original = getattr(head, method)
    monkeypatch.setattr(head, method, lambda *a, **k: calls.append(None) or original(*a, **k))
    distillation_losses(distiller, batch)
    # YOLOX assigns them image by image.
    assert len(calls) == (len(batch["data_samples"]) if family == "YOLOX" else 1)


def test_fcos_is_divided_by_the_sum_of_centerness(make_detector: Any, batch: dict[str, Any]) -> None:
    student = make_detector("FCOS")
    head, family = student.bbox_head, family_of(student)
    instances = [sample.gt_instances for sample in batch["data_samples"]]
    points = head.prior_generator.grid_priors([(8, 8), (4, 4), (2, 2), (1, 1), (1, 1)], device="cpu")
    labels, distances = head.get_targets(points, instances)
    left, top, right, bottom = torch.cat(distances)[torch.cat(labels) < 3].unbind(1)
    centerness = (left.minimum(right) / left.maximum(right) * top.minimum(bottom) / top.maximum(bottom)).sqrt()
    assert len(centerness) > 3
    results = {
        "get_targets": [(labels, distances)],
        "centerness_target": [centerness],
        "prior_generator.grid_priors": [points],
    }
    assert family.assignment(head, results).box_normaliser == pytest.approx(centerness.sum().item())
    small = [make_distiller(make_detector, "FCOS", legacy_normaliser=legacy) for legacy in (True, False)]
    small[1].student.load_state_dict(small[0].student.state_dict())
    small[1]._teacher.load_state_dict(small[0]._teacher.state_dict())
    by_sum, clamped = (distillation_losses(distiller, batch) for distiller in small)
    assert centerness.sum() > 1
    torch.testing.assert_close(by_sum, clamped)
