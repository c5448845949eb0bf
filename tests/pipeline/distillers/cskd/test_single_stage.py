"""CSKD for every family: where its gradients go, what it does at the edges, and what it leaves alone."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.detectors import family_of
from pipeline.distillers import Distiller, WeightSchedule, build_methods
from pipeline.errors import RecipeError
from tests.pipeline.distillers.assignments import keep_first_assignment
from tests.stock_heads import TOWERED, in_evaluation

CSKD = {"type": "CSKD", "branch_adapt": True}
OFF = dict.fromkeys(
    ["neck_weight", "roi_weight", "mask_weight", "cls_branch_weight", "reg_branch_weight", "prediction_weight"], (0, 0)
) | {"assistant_weight": 0}


def make_distiller(make_detector: Any, family: str, width: int = 64, **method: Any) -> Distiller:
    student, teacher = make_detector(family), make_detector(family, width=width, channels=8)
    return Distiller(student, teacher, build_methods([CSKD | method], student, teacher)).train()


def summed(losses: dict[str, Any]) -> dict[str, Tensor]:
    return {name: torch.stack(value).sum() if isinstance(value, list) else value for name, value in losses.items()}


def distillation_losses(distiller: Distiller, batch: dict[str, Any]) -> dict[str, Tensor]:
    return {name: v for name, v in summed(distiller(**batch, mode="loss")).items() if name.endswith("_kd")}


def touched(module: nn.Module) -> bool:
    return any(p.grad is not None and p.grad.any() for p in module.parameters())


def untouched(module: nn.Module) -> bool:
    return all(p.grad is None for p in module.parameters())


@pytest.mark.parametrize("family", TOWERED)
def test_gradients_of_each_loss_reach_what_they_should(make_detector: Any, batch: dict[str, Any], family: str) -> None:
    distiller = make_distiller(make_detector, family)
    before = {name: value.clone() for name, value in distiller._teacher.state_dict().items()}
    losses = distillation_losses(distiller, batch)
    head, method = distiller.student.bbox_head, distiller.methods[0]
    adapter = family_of(distiller.student)
    predictors = [getattr(head, part) for part in adapter.predictors]
    levels = range(head.prior_generator.num_levels)
    towers = {
        branch: nn.ModuleList(module for level in levels for module in adapter.towers(head, level)[branch])
        for branch in ("cls", "reg")
    }
    for name, loss in losses.items():
        distiller.zero_grad()
        loss.backward(retain_graph=True)
        group = name.split("_")[1]
        assert touched(distiller.student.backbone), name
        assert untouched(method.neck) == (group != "neck"), name
        assert untouched(method.towers) == (group != "tower"), name
        assert untouched(method.assistant) == (group != "assist"), name
        assert all(map(untouched, predictors)) == (group != "pred"), name
        assert all(untouched(tower) for tower in towers.values()) == (group == "neck"), name
        if name in ("loss_tower_cls_kd", "loss_tower_reg_kd"):
            assert {branch: touched(tower) for branch, tower in towers.items()} == {
                "cls": "cls" in name,
                "reg": "reg" in name,
            }
    assert untouched(distiller._teacher)
    assert all(torch.equal(value, before[name]) for name, value in distiller._teacher.state_dict().items())


@pytest.mark.parametrize("family", TOWERED)
def test_the_losses_of_each_family(make_detector: Any, batch: dict[str, Any], family: str) -> None:
    losses = distillation_losses(make_distiller(make_detector, family), batch)
    shared = ["neck", "neck_roi", "neck_fg", "neck_bg", "tower_cls", "tower_reg", "pred_cls", "pred_reg"]
    shared += ["assist_cls", "assist_reg"]
    own = ["pred_center", "assist_center"] if family in ("FCOS", "ATSS", "PAA", "DDOD") else []
    own += ["assist_dfl"] if family == "GFL" else []
    assert losses.keys() == {f"loss_{name}_kd" for name in shared + own}
    assert all(value.item() >= 0 and torch.isfinite(value) for value in losses.values())


@pytest.mark.parametrize("boxes", ["some", "none"])
@pytest.mark.parametrize("family", TOWERED)
def test_every_trainable_parameter_gets_a_finite_gradient(
    make_detector: Any, batch: dict[str, Any], family: str, boxes: str
) -> None:
    distiller = make_distiller(make_detector, family)
    if boxes == "none":
        batch["data_samples"] = [batch["data_samples"][1]] * 2
    total, terms = distiller.parse_losses(distiller(**batch, mode="loss"))
    total.backward()
    trained = {name: p for name, p in distiller.named_parameters() if p.requires_grad}
    assert [name for name, p in trained.items() if p.grad is None] == []
    assert [name for name, p in trained.items() if not torch.isfinite(p.grad).all()] == []
    if boxes == "none":
        assert all(value.item() < 1e3 for name, value in terms.items() if name.endswith("_kd"))
        assert terms["loss_neck_roi_kd"] == terms["loss_neck_fg_kd"] == terms["loss_pred_reg_kd"] == 0


@pytest.mark.parametrize("family", TOWERED)
def test_single_cell_levels_are_finite(make_detector: Any, batch: dict[str, Any], family: str) -> None:
    # Batch normalisation refuses a single value while it trains, group normalisation one of a group always.
    student, teacher = make_detector(family, width=64), make_detector(family, width=64, channels=8)
    distiller = in_evaluation(Distiller(student, teacher, build_methods([CSKD], student, teacher)))
    one = {"inputs": batch["inputs"][:1], "data_samples": batch["data_samples"][:1]}
    distiller.parse_losses(distiller(**one, mode="loss"))[0].backward()
    assert all(torch.isfinite(p.grad).all() for p in distiller.parameters() if p.grad is not None)


@pytest.mark.parametrize("family", TOWERED)
def test_a_trained_student_is_a_stock_detector(make_detector: Any, batch: dict[str, Any], family: str) -> None:
    distiller = make_distiller(make_detector, family)
    optimizer = torch.optim.SGD(distiller.parameters(), lr=1e-4)
    distiller.parse_losses(distiller(**batch, mode="loss"))[0].backward()
    before = distiller.student.state_dict()["neck.fpn_convs.0.conv.weight"].clone()
    optimizer.step()
    distiller.eval()
    alone = make_detector(family).eval()
    alone.load_state_dict(distiller.student.state_dict(), strict=True)
    assert not torch.equal(before, alone.neck.fpn_convs[0].conv.weight)
    with torch.no_grad():
        torch.testing.assert_close(distiller(**batch, mode="tensor"), alone(**batch, mode="tensor"), rtol=0, atol=0)


@pytest.mark.parametrize("family", TOWERED)
def test_mixed_precision_gives_nearly_the_same_losses(
    make_detector: Any, batch: dict[str, Any], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    distiller = in_evaluation(make_distiller(make_detector, family))
    keep_first_assignment(distiller.student, monkeypatch)
    distiller.use_channels_last()
    exact = distillation_losses(distiller, batch)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = distillation_losses(distiller, batch)
    assert all(value.dtype == torch.float for value in mixed.values())
    for name, value in exact.items():
        assert mixed[name].item() == pytest.approx(value.item(), rel=0.1, abs=1e-3), name


@pytest.mark.parametrize(
    ("on", "keys", "modules"),
    [
        ("neck_weight", {"neck"}, {"neck"}),
        ("roi_weight", {"neck_roi"}, {"neck"}),
        ("mask_weight", {"neck_fg", "neck_bg"}, {"neck"}),
        ("cls_branch_weight", {"tower_cls"}, {"towers"}),
        ("reg_branch_weight", {"tower_reg"}, {"towers"}),
        ("prediction_weight", {"pred_cls", "pred_reg", "pred_center"}, set()),
        ("assistant_weight", {"assist_cls", "assist_reg", "assist_center"}, {"assistant"}),
    ],
)
def test_a_loss_that_is_off_costs_nothing(
    make_detector: Any, batch: dict[str, Any], on: str, keys: set[str], modules: set[str]
) -> None:
    distiller = make_distiller(make_detector, "ATSS", **(OFF | {on: 1.0 if on == "assistant_weight" else (1, 0.5)}))
    calls: list[object] = []
    distiller._teacher.bbox_head.register_forward_hook(lambda *_: calls.append(None))
    assert distillation_losses(distiller, batch).keys() == {f"loss_{key}_kd" for key in keys}
    assert {name.split(".")[2] for name, _ in distiller.named_parameters() if name.startswith("methods")} == modules
    assert bool(calls) == (on not in ("neck_weight", "roi_weight", "mask_weight"))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (OFF, "CSKD: all weights are 0"),
        ({"neck_weight": 2.0}, r"CSKD: neck_weight is 2.0; give two numbers"),
        ({"prediction_weight": (1, 2, 3)}, r"prediction_weight is \(1, 2, 3\); give two numbers"),
        ({"box_frame": "map"}, r"box_frame is 'map'; give one of \['image', 'batch'\]"),
        ({"neck_weight": (1, -0.5)}, r"neck_weight is \(1, -0.5\); give two numbers that are not negative"),
        ({"neck_weight": ("1", 1)}, r"neck_weight is \('1', 1\); give two numbers"),
        ({"alpha": 25}, "alpha is 25; give a number from 0 to 1"),
        ({"branch_convs": 3}, r"branch_convs is 3; give 'all', 'last', or pairs such as"),
        (
            {"kd_costhresh": 0.5},
            r"CSKD: kd_costhresh = 0.5 is no argument of it; choose of \['alpha', .*or leave it out",
        ),
    ],
)
def test_a_wrong_argument_is_named(make_detector: Any, method: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_distiller(make_detector, "GFL", **method)


def test_beside_crosskd_both_are_as_they_are_alone(make_gfl: Any, batch: dict[str, Any]) -> None:
    student, teacher = make_gfl().eval(), make_gfl(channels=8)
    methods = build_methods([{"type": "CrossKD", "reused_head_index": 1}, {"type": "CSKD"}], student, teacher)

    def losses(methods: list[Any], **schedule: Any) -> dict[str, Tensor]:
        distiller = Distiller(student, teacher, methods, WeightSchedule(**schedule))
        return distillation_losses(distiller, batch)

    both, first, second = losses(methods), losses(methods[:1]), losses(methods[1:])
    assert not first.keys() & second.keys()
    torch.testing.assert_close(both, first | second, rtol=0, atol=0)
    half = losses(methods, decay_begin=0, decay_end=2)
    torch.testing.assert_close(half, {name: value / 2 for name, value in both.items()})


def test_towers_of_two_depths_compare_their_last_convolutions(make_gfl: Any, batch: dict[str, Any]) -> None:
    student, teacher = make_gfl(), make_gfl(width=64, channels=8, stacked_convs=4)

    def towers(convs: Any) -> dict[str, Tensor]:
        torch.manual_seed(0)
        method = CSKD | OFF | {"branch_convs": convs, "cls_branch_weight": (1, 0.5), "reg_branch_weight": (2, 1)}
        return distillation_losses(Distiller(student, teacher, build_methods([method], student, teacher)).eval(), batch)

    torch.testing.assert_close(towers("last"), towers([[2, 4]]), rtol=0, atol=0)
    assert towers("last") != towers([[2, 3]])


def test_a_box_frame_of_the_batch_does_not_stretch_the_boxes_of_padded_images(
    make_gfl: Any, batch: dict[str, Any]
) -> None:
    student, teacher = make_gfl(), make_gfl(channels=8)

    def masked(frame: str) -> Tensor:
        torch.manual_seed(0)
        methods = build_methods([{"type": "CSKD", "box_frame": frame}], student, teacher)
        return distillation_losses(Distiller(student, teacher, methods).eval(), batch)["loss_neck_fg_kd"]

    torch.testing.assert_close(masked("image"), masked("batch"))
    for sample in batch["data_samples"]:
        sample.set_metainfo({"img_shape": (48, 60)})
    assert not torch.isclose(masked("image"), masked("batch"))


def test_fcos_is_compared_in_strides_in_training_and_evaluation(make_detector: Any, batch: dict[str, Any]) -> None:
    student, teacher = (make_detector("FCOS", norm_on_bbox=True, channels=width) for width in (4, 8))
    for module in student.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    methods = build_methods([CSKD | {"neck_weight": (0, 0), "roi_weight": (0, 0)}], student, teacher)
    distiller = Distiller(student, teacher, methods)
    names = ["loss_pred_reg_kd", "loss_assist_reg_kd"]
    student.bbox_head.train()
    trained = distillation_losses(distiller, batch)
    student.bbox_head.eval()
    evaluated = distillation_losses(distiller, batch)
    for name in names:
        torch.testing.assert_close(trained[name], evaluated[name])
    assert trained["loss_pred_reg_kd"] > 0


def test_the_assistant_of_atss_by_hand(make_detector: Any, batch: dict[str, Any]) -> None:
    # ATSS is not in the published code: all from the stock head's own parts, one positive at a time.
    distiller = make_distiller(make_detector, "ATSS", width=32).eval()
    student, teacher, assistant = distiller.student, distiller._teacher, distiller.methods[0].assistant
    got = distillation_losses(distiller, batch)
    head, samples = student.bbox_head, batch["data_samples"]
    instances, metas = [s.gt_instances for s in samples], [s.metainfo for s in samples]
    with torch.no_grad():
        features_s, features_t = student.extract_feat(batch["inputs"]), teacher.extract_feat(batch["inputs"])
        sizes = [level.shape[2:] for level in features_s]
        anchors, valid = head.get_anchors(sizes, metas, device="cpu")
        anchors, labels, _, targets, _, positives = head.get_targets(anchors, valid, instances, metas)
        wanted, centerness, weight = torch.zeros(()), torch.zeros(()), torch.zeros(())
        for level, (out_s, out_t) in enumerate(zip(features_s, features_t, strict=True)):
            for conv in head.reg_convs:
                out_s = conv(out_s)
            deltas, entropy = assistant.scales[level](assistant.atss_reg(out_s)), assistant.atss_centerness(out_s)
            _, deltas_t, entropy_t = teacher.bbox_head.forward_single(out_t, teacher.bbox_head.scales[level])
            for image, place in (labels[level] < head.num_classes).nonzero().tolist():
                y, x = divmod(place, out_s.shape[3])
                anchor = anchors[level][image, place][None]
                box, target = (head.bbox_coder.decode(anchor, d[image, :, y, x][None]) for d in (deltas, deltas_t))
                share = head.centerness_target(anchor, targets[level][image, place][None])
                weight += share.sum()
                wanted += share.sum() * head.loss_bbox(box, target)
                centerness += nn.functional.binary_cross_entropy_with_logits(
                    entropy[image, 0, y, x], entropy_t[image, 0, y, x].sigmoid()
                )
    assert positives > 2
    assert got["loss_assist_reg_kd"].item() == pytest.approx((wanted / max(weight.item(), 1)).item(), rel=1e-4)
    assert got["loss_assist_center_kd"].item() == pytest.approx((centerness / positives).item(), rel=1e-4)


@pytest.mark.parametrize("family", TOWERED)
def test_the_modules_start_as_the_published_heads_do(make_detector: Any, family: str) -> None:
    distiller = make_distiller(make_detector, family)
    method = distiller.methods[0]
    classifiers = method.assistant.get_submodule(family_of(distiller.student).predictors[0]).modules()
    biases = [layer.bias for layer in classifiers if isinstance(layer, nn.Conv2d)]
    for bias in biases:
        torch.testing.assert_close(bias.sigmoid(), torch.full_like(bias, 0.01))
    weights = torch.cat([p.flatten() for p in method.parameters() if p.ndim == 4])
    assert weights.std().item() == pytest.approx(0.01, rel=0.02)
    scales = [module.weight for module in method.modules() if isinstance(module, nn.GroupNorm)]
    assert all((scale == 1).all() for scale in scales)
    known = {id(parameter) for parameter in (*biases, *scales)}
    assert all(not p.any() for p in method.parameters() if p.ndim == 1 and id(p) not in known)
    assert all(p.item() == 1 for p in method.parameters() if p.ndim == 0)


def test_a_deep_copy_refers_to_its_own_student_and_shares_the_teacher(make_gfl: Any, batch: dict[str, Any]) -> None:
    student, teacher = make_gfl().eval(), make_gfl(channels=8)
    distiller = Distiller(student, teacher, build_methods([{"type": "CSKD"}], student, teacher))
    copy = deepcopy(distiller)
    assert copy.methods[0]._student_head is copy.student.bbox_head
    assert copy.methods[0]._teacher_head is teacher.bbox_head
    torch.testing.assert_close(distillation_losses(copy, batch), distillation_losses(distiller, batch))
