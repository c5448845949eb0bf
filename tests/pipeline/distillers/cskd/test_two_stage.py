"""CSKD and PKD of a Faster R-CNN: what is trained, what is left alone, and which pairs are refused."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
from mmengine.structures import InstanceData
from torch import nn

from pipeline.detectors import flow_of
from pipeline.distillers import Distiller, WeightSchedule, build_methods
from pipeline.distillers.cskd.two_stage_preflight import check_cskd_two_stage
from pipeline.errors import RecipeError
from tests.pipeline.distillers.faster_rcnn import TRAIN, make_faster

Batch = dict[str, Any]
CSKD = {"type": "CSKD"}
METHOD_LOSSES = {
    *("neck", "neck_roi", "neck_fg", "neck_bg"),
    *("rpn_tower", "rpn_pred_cls", "rpn_pred_reg", "rpn_assist_cls", "rpn_assist_reg"),
    *("region_student", "region_teacher", "hidden", "pred_cls", "pred_reg", "assist_cls", "assist_reg"),
}
STOCK_LOSSES = {"loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox"}


def distiller(methods: list[dict[str, Any]] | None = None, **teacher: Any) -> Distiller:
    torch.manual_seed(0)
    pair = make_faster(), make_faster(**teacher)
    return Distiller(*pair, build_methods([CSKD] if methods is None else methods, *pair)).train()


def without_boxes(batch: Batch) -> Batch:
    for sample in batch["data_samples"]:
        sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    return batch


def values(losses: dict[str, Any]) -> dict[str, list[float]]:
    return {
        name: [level.item() for level in (loss if isinstance(loss, list) else [loss])] for name, loss in losses.items()
    }


def losses_of(wrapped: Any, batch: Batch, seed: int = 0) -> dict[str, Any]:
    torch.manual_seed(seed)
    return wrapped(**deepcopy(batch), mode="loss")


@pytest.mark.parametrize("kind", ["cskd", "pkd", "twin", "no boxes"])
def test_the_students_own_losses_are_those_of_stock_mmdet(kind: str, batch: Batch) -> None:
    methods = {"pkd": [{"type": "PKD", "weight": 6.0}], "twin": []}.get(kind, [CSKD])
    wrapped = distiller(methods)
    if kind == "no boxes":
        batch = without_boxes(batch)
    stock = {name: value for name, value in values(losses_of(wrapped.student, batch)).items() if name != "acc"}
    wrapped_losses = values(losses_of(wrapped, batch))
    assert stock.keys() == STOCK_LOSSES
    assert {name: wrapped_losses[name] for name in stock} == stock
    expected = {"pkd": {"feat"}, "twin": set()}.get(kind, METHOD_LOSSES)
    assert wrapped_losses.keys() - stock.keys() == {f"loss_{name}_kd" for name in expected}


def test_random_numbers_are_drawn_as_by_the_twin(batch: Batch) -> None:
    wrapped = distiller()
    losses_of(wrapped.student, batch)
    after = torch.get_rng_state()
    losses_of(wrapped, batch)
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("boxes", ["some", "none"])
@pytest.mark.parametrize("methods", [[CSKD], [CSKD, {"type": "PKD", "weight": 6.0}], []])
def test_every_parameter_learns(methods: list[dict[str, Any]], boxes: str, batch: Batch) -> None:
    wrapped = distiller(methods)
    total, terms = wrapped.parse_losses(losses_of(wrapped, batch if boxes == "some" else without_boxes(batch)))
    assert all(torch.isfinite(value) for value in terms.values())
    total.backward()
    assert not [name for name, parameter in wrapped.named_parameters() if parameter.grad is None]
    assert all(torch.isfinite(parameter.grad).all() for parameter in wrapped.parameters())
    if methods and boxes == "some":
        assert not [name for name, parameter in wrapped.methods.named_parameters() if not parameter.grad.any()]


def test_neither_proposals_nor_boxes_are_losses_of_zero(batch: Batch) -> None:
    wrapped = distiller()
    wrapped.student.train_cfg.rpn_proposal = wrapped.student.train_cfg.rpn_proposal | {"min_bbox_size": 1000}
    losses = losses_of(wrapped, without_boxes(batch))
    of_regions = {name: value for name, value in values(losses).items() if "region" in name or "hidden" in name}
    assert of_regions == {name: [0.0] for name in of_regions}
    wrapped.parse_losses(losses)[0].backward()
    assert not [name for name, parameter in wrapped.named_parameters() if parameter.grad is None]


def test_the_teacher_stays_and_the_student_leaves_as_a_stock_detector(batch: Batch) -> None:
    wrapped = distiller()
    before = deepcopy(wrapped._teacher.state_dict())
    optimiser = torch.optim.SGD(wrapped.parameters(), lr=1e-3)
    first = {name: value.clone() for name, value in wrapped.named_parameters()}
    for seed in range(2):
        optimiser.zero_grad()
        wrapped.parse_losses(losses_of(wrapped, batch, seed))[0].backward()
        optimiser.step()
    assert all(torch.equal(before[name], value) for name, value in wrapped._teacher.state_dict().items())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in wrapped._teacher.parameters())
    assert not any(name.startswith("_teacher") for name in wrapped.state_dict())
    assert all(not torch.equal(first[name], value) for name, value in wrapped.named_parameters() if value.ndim > 1)
    plain = make_faster()
    plain.load_state_dict(wrapped.student.state_dict(), strict=True)
    for sample in batch["data_samples"]:
        sample.set_metainfo({"scale_factor": (1.0, 1.0), "ori_shape": (64, 64)})
    found, expected = (
        [sample.pred_instances for sample in detector.eval()(**deepcopy(batch), mode="predict")]
        for detector in (wrapped, plain)
    )
    for image, wanted in zip(found, expected, strict=True):
        assert len(image) > 0
        assert all(torch.equal(image[name], wanted[name]) for name in ("bboxes", "scores", "labels"))


def test_a_copy_shares_the_teacher_and_has_a_student_of_its_own(batch: Batch) -> None:
    wrapped = distiller()
    copy = deepcopy(wrapped)
    assert copy._teacher is wrapped._teacher
    (method,) = copy.methods
    assert method._teacher is wrapped._teacher
    assert method._student is copy.student
    assert copy.student is not wrapped.student
    assert values(losses_of(copy, batch)) == values(losses_of(wrapped, batch))


@pytest.mark.parametrize(
    ("setting", "gone"),
    [
        ("neck_weight", {"neck"}),
        ("roi_weight", {"neck_roi"}),
        ("mask_weight", {"neck_fg", "neck_bg"}),
        ("rpn_weight", {"rpn_tower"}),
        ("rpn_prediction_weight", {"rpn_pred_cls", "rpn_pred_reg"}),
        ("region_weight", {"region_student", "region_teacher"}),
        ("hidden_weight", {"hidden"}),
        ("prediction_weight", {"pred_cls", "pred_reg"}),
        ("assistant_weight", {"rpn_assist_cls", "rpn_assist_reg", "assist_cls", "assist_reg"}),
    ],
)
def test_a_weight_of_zero_leaves_no_loss_and_no_module(setting: str, gone: set[str], batch: Batch) -> None:
    zero: Any = 0.0 if setting == "assistant_weight" else (0.0, 0.0)
    wrapped = distiller([CSKD | {setting: zero}])
    losses = losses_of(wrapped, batch)
    assert losses.keys() - STOCK_LOSSES == {f"loss_{name}_kd" for name in METHOD_LOSSES - gone}
    wrapped.parse_losses(losses)[0].backward()
    assert not [name for name, parameter in wrapped.methods.named_parameters() if parameter.grad is None]


def test_weights_are_factors(batch: Batch) -> None:
    once = values(losses_of(distiller(), batch))
    twice = values(
        losses_of(distiller([CSKD | {"hidden_weight": (2.0, 2.0), "rpn_weight": (2, 1), "assistant_weight": 2}]), batch)
    )
    for name in ("hidden", "rpn_tower", "rpn_assist_cls", "rpn_assist_reg", "assist_cls", "assist_reg"):
        key = f"loss_{name}_kd"
        assert twice.pop(key) == pytest.approx([2 * value for value in once.pop(key)], rel=1e-5)
    assert twice == once


def test_while_the_schedule_is_zero_the_teacher_is_not_run(batch: Batch) -> None:
    wrapped = distiller()
    wrapped.schedule = WeightSchedule(decay_begin=1, decay_end=2)
    seen: list[int] = []
    wrapped._teacher.backbone.register_forward_hook(lambda *_: seen.append(wrapped.iteration))
    assert losses_of(wrapped, batch).keys() > STOCK_LOSSES
    assert losses_of(wrapped, batch).keys() == STOCK_LOSSES
    assert seen == [1]


def test_losses_are_float32_in_mixed_precision(batch: Batch) -> None:
    wrapped = distiller()
    exact = values(losses_of(wrapped, batch))
    with torch.autocast("cpu", torch.bfloat16):
        losses = losses_of(wrapped, batch)
    levels = [level for loss in losses.values() for level in (loss if isinstance(loss, list) else [loss])]
    assert {level.dtype for level in levels} == {torch.float32}
    wrapped.parse_losses(losses)[0].backward()
    mixed = values(losses)
    for name in ("loss_neck_kd", "loss_rpn_cls", "loss_rpn_tower_kd", "loss_rpn_pred_reg_kd"):
        assert sum(mixed[name]) == pytest.approx(sum(exact[name]), rel=0.05), name


def test_widths_may_differ(batch: Batch) -> None:
    wrapped = distiller(width=32, hidden=48)
    losses = losses_of(wrapped, batch)
    assert all(torch.isfinite(value) for value in wrapped.parse_losses(losses)[1].values())
    assert losses.keys() - STOCK_LOSSES == {f"loss_{name}_kd" for name in METHOD_LOSSES}


def test_the_teachers_proposals_are_made_by_the_students_settings(batch: Batch) -> None:
    wrapped = distiller(train_cfg=TRAIN | {"rpn_proposal": TRAIN["rpn_proposal"] | {"max_per_img": 1}})
    asked: list[int] = []
    original = wrapped._teacher.rpn_head.predict_by_feat

    def counting(*args: Any, **kwargs: Any) -> Any:
        found = original(*args, **kwargs)
        asked.extend(len(image) for image in found)
        return found

    object.__setattr__(wrapped._teacher.rpn_head, "predict_by_feat", counting)
    losses_of(wrapped, batch)
    assert len(asked) == 2
    assert min(asked) > 5


def _add_cls_fc(detector: Any) -> None:
    detector.roi_head.bbox_head.cls_fcs.append(nn.Linear(24, 24))


def _decode_first(detector: Any) -> None:
    detector.rpn_head.reg_decoded_bbox = True


def _other_part(detector: Any) -> None:
    detector.rpn_head = nn.Identity()


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (
            {"num_classes": 4},
            r"bbox_head\.num_classes of the student is 3, of the teacher 4; set the same in both",
        ),
        ({"reg_class_agnostic": True}, r"bbox_head\.reg_class_agnostic of the student is False, of the teacher True"),
        ({"scale": 8}, "anchors of the student is .*, of the teacher .*; set the same anchor_generator in both heads"),
        ({"train_cfg": None}, r"the teacher has no train_cfg\.rcnn, by which its proposals are sampled"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused(teacher: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=f"CSKD: {message}"):
        check_cskd_two_stage(make_faster(), make_faster(**teacher))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_add_cls_fc, "the teacher's roi_head.bbox_head is a Shared2FCBBoxHead with cls_fcs; only shared linear"),
        (_decode_first, "the teacher's reg_decoded_bbox is True; set it to False"),
        (_other_part, "the teacher, a FasterRCNN, is no Faster R-CNN: rpn_head is a Identity, not a RPNHead. PKD"),
    ],
)
def test_heads_that_cannot_be_compared_are_refused(change: Callable[[Any], None], message: str) -> None:
    teacher = make_faster()
    change(teacher)
    with pytest.raises(RecipeError, match=message):
        check_cskd_two_stage(make_faster(), teacher)


def test_methods_for_another_kind_of_detector_are_refused(make_gfl: Any) -> None:
    faster, dense = make_faster(), make_gfl()
    with pytest.raises(
        RecipeError,
        match=r"CrossKD is not written for .* kind of detector \(two-stage\), .* choose of \['CSKD', 'PKD'\]",
    ):
        build_methods([{"type": "CrossKD"}], faster, make_faster())
    with pytest.raises(RecipeError, match="CSKD: the teacher is a GFL without a second stage"):
        build_methods([CSKD], faster, dense)
    with pytest.raises(RecipeError, match="no distillation adapter for RPNHead"):
        build_methods([CSKD], dense, faster)
    with pytest.raises(RecipeError, match="CSKD is given twice"):
        build_methods([CSKD, CSKD], faster, make_faster())
    with pytest.raises(RecipeError, match="CSKD: all weights are 0"):
        build_methods([CSKD | dict.fromkeys(SETTINGS, (0, 0)) | {"assistant_weight": 0}], faster, make_faster())


SETTINGS = (
    *("neck_weight", "roi_weight", "mask_weight", "rpn_weight", "rpn_prediction_weight"),
    *("region_weight", "hidden_weight", "prediction_weight"),
)


def test_two_stage_detectors_of_other_parts_are_trained_by_mmdets_own_losses() -> None:
    detector = make_faster()
    assert flow_of(detector).knows_head
    detector.roi_head.bbox_head = nn.Identity()
    assert not flow_of(detector).knows_head


def test_masks_are_refused() -> None:
    detector = make_faster()
    detector.roi_head.mask_head = nn.Identity()
    with pytest.raises(RecipeError, match=r"FasterRCNN has a mask head, .*; leave mask_head out"):
        flow_of(detector)
