"""The distiller: where gradients go, what is saved, and that the teacher stays out of everything."""

from copy import deepcopy
from typing import Any

import pytest
import torch

from pipeline.distillers import Distiller, build_methods
from pipeline.errors import RecipeError, TrainingError
from tests.other_detectors import annotated_batch, other_detector

CROSSKD = {"type": "CrossKD", "reused_head_index": 1}


def make_distiller(make_gfl: Any, **method: Any) -> Distiller:
    student, teacher = make_gfl(), make_gfl(channels=8)
    return Distiller(student, teacher, build_methods([CROSSKD | method], student, teacher)).train()


def distillation_losses(distiller: Distiller, batch: dict[str, Any]) -> torch.Tensor:
    losses = distiller(**batch, mode="loss")
    return sum(value for name, values in losses.items() if name.endswith("_kd") for value in values)


def test_distillation_reaches_the_reused_layers_and_nothing_behind_them(make_gfl: Any, batch: dict[str, Any]) -> None:
    distiller = make_distiller(make_gfl)
    distillation_losses(distiller, batch).backward()
    head = distiller.student.bbox_head
    reached = [head.cls_convs[0], head.reg_convs[0], distiller.student.neck, distiller.student.backbone]
    spared = [head.cls_convs[1], head.reg_convs[1], head.gfl_cls, head.gfl_reg, head.scales]
    for module in reached:
        assert any(p.grad is not None and p.grad.any() for p in module.parameters()), module
    for module in spared:
        assert all(p.grad is None for p in module.parameters()), module


def test_index_0_hands_over_the_neck(make_gfl: Any, batch: dict[str, Any]) -> None:
    distiller = make_distiller(make_gfl, reused_head_index=0)
    distillation_losses(distiller, batch).backward()
    assert all(p.grad is None for p in distiller.student.bbox_head.parameters())
    assert any(p.grad is not None for p in distiller.student.neck.parameters())


def test_every_trainable_parameter_gets_a_gradient(make_gfl: Any, batch: dict[str, Any]) -> None:
    student, teacher = make_gfl(width=32), make_gfl(width=64)
    method = CROSSKD | {"adapter": True}
    distiller = Distiller(student, teacher, build_methods([method], student, teacher)).train()
    losses = distiller(**batch, mode="loss")
    distiller.parse_losses(losses)[0].backward()
    missing = [name for name, p in distiller.named_parameters() if p.requires_grad and p.grad is None]
    assert missing == []


def test_a_student_that_equals_its_teacher_has_no_distillation_loss(make_gfl: Any, batch: dict[str, Any]) -> None:
    student = make_gfl()
    for module in student.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()
    teacher = deepcopy(student)
    distiller = Distiller(student, teacher, build_methods([CROSSKD], student, teacher)).eval()
    assert distillation_losses(distiller, batch).item() == pytest.approx(0.0, abs=1e-4)


def test_teacher_is_in_no_state_dict_no_parameters_and_stays_in_eval_mode(make_gfl: Any) -> None:
    distiller = make_distiller(make_gfl)
    names = {name.split(".")[0] for name in distiller.state_dict()}
    assert names == {"student"}
    teacher = {id(p) for p in distiller._teacher.parameters()}
    assert not teacher & {id(p) for p in distiller.parameters()}
    distiller.train()
    assert distiller.student.training
    assert not distiller._teacher.training


def test_teacher_moves_with_the_distiller(make_gfl: Any) -> None:
    distiller = make_distiller(make_gfl).double()
    assert {p.dtype for p in distiller._teacher.parameters()} == {torch.float64}


def test_a_deep_copy_shares_the_teacher(make_gfl: Any, batch: dict[str, Any]) -> None:
    distiller = make_distiller(make_gfl)
    copy = deepcopy(distiller)
    assert copy._teacher is distiller._teacher
    assert copy.student is not distiller.student
    assert copy.methods[0]._student_head is copy.student.bbox_head
    assert copy.methods[0]._teacher_head is distiller._teacher.bbox_head
    torch.testing.assert_close(distillation_losses(copy, batch), distillation_losses(distiller, batch))


def test_the_student_predicts_as_the_wrapped_one(make_gfl: Any, batch: dict[str, Any]) -> None:
    distiller = make_distiller(make_gfl).eval()
    alone = make_gfl()
    alone.load_state_dict(distiller.student.state_dict(), strict=True)
    with torch.no_grad():
        wanted = alone.eval()(**batch, mode="tensor")
        got = distiller(**batch, mode="tensor")
    for output, expected_output in zip(got, wanted, strict=True):
        for level, expected in zip(output, expected_output, strict=True):
            torch.testing.assert_close(level, expected)


def test_without_methods_it_trains_like_the_stock_detector(make_gfl: Any, batch: dict[str, Any]) -> None:
    student = make_gfl().train()
    wanted = deepcopy(student)(**batch, mode="loss")
    got = Distiller(student).train()(**batch, mode="loss")
    assert got.keys() == wanted.keys()
    for name in wanted:
        torch.testing.assert_close(torch.stack(got[name]), torch.stack(wanted[name]))


def test_batch_without_any_box_is_finite(make_gfl: Any, batch: dict[str, Any]) -> None:
    distiller = make_distiller(make_gfl)
    batch["data_samples"] = [batch["data_samples"][1]] * 2
    total, _ = distiller.parse_losses(distiller(**batch, mode="loss"))
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in distiller.parameters() if p.grad is not None)


def test_single_cell_levels_are_finite(make_gfl: Any, batch: dict[str, Any]) -> None:
    # Batch and group normalisation themselves refuse a single value while they train.
    student, teacher = make_gfl(width=64), make_gfl(width=64, channels=8)
    distiller = Distiller(student, teacher, build_methods([CROSSKD], student, teacher)).eval()
    one = {"inputs": batch["inputs"][:1], "data_samples": batch["data_samples"][:1]}
    total, _ = distiller.parse_losses(distiller(**one, mode="loss"))
    total.backward()
    assert all(torch.isfinite(p.grad).all() for p in distiller.parameters() if p.grad is not None)


def test_a_loss_that_is_not_finite_names_every_term_and_image(make_gfl: Any) -> None:
    distiller = make_distiller(make_gfl)
    distiller._batch_images = ["a.png", "b.png"]
    terms = {"loss_cls": torch.tensor(1.0), "loss_cls_kd": torch.tensor(float("nan"))}
    with pytest.raises(TrainingError, match=r"loss_cls = 1, loss_cls_kd = nan.*a\.png.*b\.png"):
        distiller.parse_losses(terms)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"reused_head_index": 3}, "reused_head_index is 3, but the student's towers have 2"),
        ({"reused_head_index": -1}, "choose 0 to 2"),
        ({"type": "crosskd"}, "unknown type 'crosskd'; known: .*CrossKD"),
        ({"weight": 1}, r"CrossKD: weight = 1 is no argument of it; choose of \['adapter', 'beta', .*or leave it out"),
        ({"reg_loss": "giou"}, r"reg_loss is 'giou'; GFLHead takes \['kl'\]"),
        ({"bin_reduction": "max"}, r"CrossKD: bin_reduction is 'max'; give one of \['sum', 'mean'\]"),
        ({"center_weight": 1.0}, "center_weight is 1.0, but GFLHead predicts no centerness"),
        ({"cls_weight": 0, "reg_weight": 0}, "all weights are 0"),
        ({"cls_weight": "1"}, "^distillation.methods: CrossKD: cls_weight is '1'; give a number that is not negative$"),
        ({"reg_weight": -1.0}, "reg_weight is -1.0; give a number that is not negative"),
        ({"temperature": 0}, "temperature is 0; give a number above 0"),
        ({"reg_loss": "l1"}, "reg_loss is 'l1'; give 'kl', 'giou' or 'iou'"),
        ({"adapter": 1}, "adapter is 1; give True or False"),
        (
            {"weight": 1, "beta": None, "adapter": "yes"},
            "adapter is 'yes'; give True or False\n.*CrossKD: weight = 1 is no argument",
        ),
    ],
)
def test_a_wrong_method_names_the_key(make_gfl: Any, method: dict[str, Any], message: str) -> None:
    student, teacher = make_gfl(), make_gfl()
    with pytest.raises(RecipeError, match=message):
        build_methods([CROSSKD | method], student, teacher)


def test_a_method_given_twice_is_refused(make_gfl: Any) -> None:
    student, teacher = make_gfl(), make_gfl()
    with pytest.raises(RecipeError, match="CrossKD is given twice"):
        build_methods([CROSSKD, CROSSKD], student, teacher)


def test_a_loss_that_two_parts_return_is_not_lost(make_gfl: Any, batch: dict[str, Any]) -> None:
    student, teacher = make_gfl(), make_gfl()
    methods = build_methods([CROSSKD], student, teacher) + build_methods([CROSSKD], student, teacher)
    with pytest.raises(TrainingError, match=r"CrossKD returns .*loss_cls_kd"):
        Distiller(student, teacher, methods).train()(**batch, mode="loss")


def test_building_a_method_leaves_the_random_state_as_it_was(make_gfl: Any) -> None:
    student, teacher = make_gfl(width=32), make_gfl(width=64)
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    build_methods([CROSSKD | {"adapter": True}], student, teacher)
    assert torch.equal(torch.rand(1), wanted)


def test_a_detector_that_views_maps_as_rows_predicts_after_channels_last_is_asked_for() -> None:
    distiller = Distiller(other_detector("centernet")).eval()
    distiller.use_channels_last()
    with torch.no_grad():
        found = distiller(*annotated_batch(), mode="predict")
    assert len(found[0].pred_instances) == 20


IMAGENET = {
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "bgr_to_rgb": True,
    "pad_size_divisor": 32,
}
"""As ResNets of torchvision, DINO and Faster R-CNN have it."""


@pytest.mark.parametrize(
    "student",
    [
        {"mean": [103.53, 116.28, 123.675], "std": [57.375, 57.12, 58.395], "bgr_to_rgb": False},  # RTMDet
        {"mean": [0.0, 0.0, 0.0], "std": [255.0, 255.0, 255.0], "bgr_to_rgb": True},
        {"mean": None, "std": None, "bgr_to_rgb": False},
    ],
)
@pytest.mark.parametrize("method", [{"type": "PKD"}, CROSSKD])
def test_the_teacher_sees_the_students_images_as_it_normalises_them(
    make_gfl: Any, student: dict[str, Any], method: dict[str, Any]
) -> None:
    pair = make_gfl(), make_gfl()
    preprocessor = type(pair[0].data_preprocessor)
    pair[0].data_preprocessor, pair[1].data_preprocessor = (
        preprocessor(**IMAGENET | changes) for changes in (student, {})
    )
    images = [torch.randint(0, 256, (3, *size), dtype=torch.uint8) for size in ((64, 48), (40, 64))]
    samples = [sample.new() for sample in annotated_batch()[1]]
    for sample, image in zip(samples, images, strict=True):
        sample.set_metainfo({"img_shape": tuple(image.shape[1:])})
    data = {"inputs": images, "data_samples": samples}
    seen: list[torch.Tensor] = []
    pair[1].backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    distiller = Distiller(*pair, build_methods([method], *pair)).train()
    distiller(**pair[0].data_preprocessor(data, True), mode="loss")
    torch.testing.assert_close(seen[-1], pair[1].data_preprocessor(data, True)["inputs"], rtol=0, atol=1e-4)


def test_a_teacher_of_the_same_normalisation_sees_the_very_images(make_gfl: Any, batch: dict[str, Any]) -> None:
    distiller, seen = make_distiller(make_gfl), []
    distiller._teacher.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    distiller(**batch, mode="loss")
    assert torch.equal(seen[-1], batch["inputs"])
