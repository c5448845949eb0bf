"""Part 1 on a small pair: equal arithmetic passes, another one is named, and no registered family is left out."""

from pathlib import Path

import pytest
import torch

from benchmarks.gpu_proof import gradients
from benchmarks.gpu_proof.gradients import (
    Pair,
    Step,
    compare,
    compare_steps,
    gradient_distances,
    method_sets,
    one_step,
    pairs,
)
from benchmarks.gpu_proof.part import run_check
from benchmarks.gpu_proof.place import Mismatch, Place
from benchmarks.gpu_proof.record import Numbers
from pipeline.detectors.adapters import FAMILIES
from pipeline.distillers import METHODS, Distiller
from pipeline.recipes import build_plain, read_recipe
from pipeline.training.step_time import random_batch

SMALL = Pair(
    "GFL", Path("configs/students/crosskd_gfl_r50_r18_1x_coco.py"), Path("configs/teachers/gfl_r50_1x_coco.py")
)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradients, "_SIZE", (64, 96))


def test_every_registered_family_has_a_pair() -> None:
    heads = set()
    for pair in pairs():
        student, teacher = (read_recipe(path).model for path in (pair.student, pair.teacher))
        assert student.type == teacher.type == pair.family
        heads.add(student.bbox_head.type if "bbox_head" in student else student.rpn_head.type)
    assert heads == {*FAMILIES, "RPNHead"} - gradients.WITHOUT_RECIPE


def test_every_method_of_a_kind_is_tried_alone_and_as_recipes_join_them() -> None:
    student, _ = gradients.build(SMALL)
    assert method_sets(student) == [*((name,) for name in METHODS), ("CrossKD", "PKD")]


def test_a_pair_passes_in_every_precision_where_the_arithmetic_is_equal(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gradients, "pairs", lambda: [SMALL])
    monkeypatch.setattr(gradients, "METHODS", {"CrossKD": METHODS["CrossKD"]})
    monkeypatch.setattr(gradients, "MIXED", ("bf16",))  # a CPU has no fast convolutions in fp16
    (check,) = gradients.checks(place)
    found = run_check(check)
    assert (found.name, found.status, found.reason) == ("GFL: CrossKD", "passed", "")
    assert found.numbers["worst loss, relative"] == found.numbers["all gradients, relative"] == 0
    assert found.numbers["losses"] == 6  # the total, three of the labels, two of the method
    assert 0 < float(found.numbers["bf16 loss, relative"]) < 0.1


def test_the_scale_of_fp16_falls_until_nothing_overflows(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    twin = Path("configs/students/twin_gfl_r18w16_embedded.py")
    distiller = Distiller(build_plain(read_recipe(twin), twin)).train()
    step = one_step(distiller, random_batch(1, (64, 64), 10), "fp16", place)
    assert 1 <= step.scale < 2.0**22
    monkeypatch.setattr(gradients, "_FIRST_SCALE", 2.0**22)
    again = one_step(distiller, random_batch(1, (64, 64), 10), "fp16", place)
    assert again.scale < 2.0**22
    assert all(bool(torch.isfinite(gradient).all()) for gradient in again.gradients.values())


def test_a_device_that_computes_otherwise_is_named(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    real = gradients.one_step

    def faulty(distiller: object, data: object, precision: str, where: Place | None) -> Step:
        step = real(distiller, data, precision, where)  # type: ignore[arg-type]
        if where is not None:
            step.gradients["student.bbox_head.gfl_cls.weight"] *= 1.02
        return step

    monkeypatch.setattr(gradients, "one_step", faulty)
    monkeypatch.setattr(gradients, "_DRAWS", 2)
    numbers: Numbers = {}
    with pytest.raises(Mismatch, match="gradient"):
        compare(place, *gradients.build(SMALL), ("CrossKD",), numbers)
    assert numbers["worst loss, relative"] == 0
    assert float(numbers["all gradients, relative"]) > 1e-3


STEP = Step({"loss": 2.0, "loss_cls": 1.0}, {"a": torch.ones(4), "b": torch.full((2,), 100.0)})


@pytest.mark.parametrize(
    ("losses", "parameter", "said"),
    [
        ({"loss": 2.0, "loss_cls": 1.01}, torch.ones(4), "relative difference of loss_cls is 0.01"),
        ({"loss": float("nan"), "loss_cls": 1.0}, torch.ones(4), "relative difference of loss is nan"),
        (STEP.losses, torch.full((4,), 1.05), "relative distance of the gradient of a is 0.05"),
        (STEP.losses, torch.full((4,), float("nan")), "relative distance of all gradients is nan"),
    ],
)
def test_the_worst_number_is_told(losses: dict[str, float], parameter: torch.Tensor, said: str) -> None:
    with pytest.raises(Mismatch, match=said):
        compare_steps(STEP, Step(losses, {**STEP.gradients, "a": parameter}), {}, iter(()))


def step_of(a: float) -> Step:
    return Step(STEP.losses, {**STEP.gradients, "a": torch.full((4,), a)})


def test_a_gradient_that_another_rounding_gives_passes() -> None:
    numbers: Numbers = {}
    roundings = iter([step_of(1.0), step_of(1.05), step_of(1.05)])
    compare_steps(STEP, step_of(1.05), numbers, roundings)
    assert numbers["worst gradient, relative"] == pytest.approx(0.05)
    assert numbers["roundings tried"] == 2
    assert len(list(roundings)) == 1


def test_a_gradient_that_no_rounding_gives_fails() -> None:
    with pytest.raises(Mismatch, match=r"gradient of a is 0\.0194"):
        compare_steps(STEP, step_of(1.05), {}, iter([step_of(1.03), step_of(0.9)]))


def test_roundings_move_a_step_a_little_and_leave_the_weights() -> None:
    twin = Path("configs/students/twin_gfl_r18w16_embedded.py")
    distiller = Distiller(build_plain(read_recipe(twin), twin)).train()
    before = {name: tensor.clone() for name, tensor in distiller.state_dict().items()}

    def batch() -> dict[str, object]:
        return random_batch(1, (64, 64), 10)

    reference = one_step(distiller, batch(), "fp32", None)
    distances = [
        gradient_distances(reference.gradients, step.gradients)[0]
        for step, _ in zip(gradients.rounded_steps(distiller, batch), range(2), strict=False)
    ]
    assert all(0 < distance < 1e-2 for distance in distances)
    after = distiller.state_dict()
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert not {name for name in moved if "running" not in name and "num_batches" not in name}


def test_a_missing_gradient_is_infinitely_far() -> None:
    assert gradient_distances(STEP.gradients, {"b": STEP.gradients["b"]}) == (float("inf"), {"a": float("inf")})


def test_a_vanishing_gradient_is_held_against_a_thousandth_of_the_largest() -> None:
    reference = {"a": torch.tensor([1000.0]), "b": torch.tensor([1e-6])}
    found = {"a": torch.tensor([1000.0]), "b": torch.tensor([1e-3])}
    total, single = gradient_distances(reference, found)
    assert single == {"a": 0, "b": pytest.approx(1e-3, rel=2e-3)}
    assert total == pytest.approx(1e-6, rel=2e-3)
