"""Part 1: a training step of every registered method on every family with a recipe, CUDA against the CPU.

Detectors are stock, at their published size, with random weights; images and boxes are random. On the GPU, TF32 is off:
torch computes fp32 convolutions in TF32 by default, whose 10 bits of mantissa are another precision.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import Tensor

import pipeline  # noqa: F401  (before mmdet's operators are imported)
from benchmarks.gpu_proof.place import Check, Place, expect
from benchmarks.gpu_proof.record import Numbers
from pipeline.choice.suited_methods import fitted
from pipeline.detectors import DetectorKind, kind_of
from pipeline.detectors.batch_norm import fold_batch_norm
from pipeline.distillers import METHODS, Distiller, build_methods
from pipeline.recipes import build_plain, read_recipe
from pipeline.training.autocast import AutocastOptimWrapper
from pipeline.training.step_time import random_batch

from mmdet.models.detectors.base import BaseDetector  # isort: skip

STUDENTS = Path("configs/students")
WITHOUT_RECIPE = frozenset({"DDODHead", "PAAHead", "TOODHead", "VFNetHead"})
"""Heads that no recipe here joins a pair of: they are not tried."""
RELATIVE_LIMIT = 1e-3
WORST_LIMIT = 1e-2
"""For a single parameter: a gradient that is the small difference of large ones is rounded more."""
_ROUNDING, _DRAWS = 1e-6, 12
"""Relative change of the weights that stands for another device's rounding, and how many are tried."""
_SIZE, _TOY_SIZE = (256, 320), (64, 96)
_BATCH = 2
MIXED = ("bf16", "fp16")
_FIRST_SCALE, _LEAST_SCALE = 2.0**16, 1.0
JOINED = (("CrossKD", "PKD"),)
"""Methods that recipes use together."""


@dataclass(frozen=True)
class Pair:
    """The smallest student and teacher of a family that a recipe joins."""

    family: str
    student: Path
    teacher: Path


@dataclass(frozen=True)
class Step:
    """Losses and gradients of one step, on the CPU; ``scale`` is what the loss was multiplied by for the gradients."""

    losses: dict[str, float]
    gradients: dict[str, Tensor]
    scale: float = 1.0


def pairs(students: Path = STUDENTS) -> list[Pair]:
    """One pair for each type of detector among the recipes for COCO, by name."""
    found: dict[str, tuple[tuple[int, int], Pair]] = {}
    for path in sorted(students.glob("*_coco.py")):
        recipe = read_recipe(path)
        if "teacher" not in recipe:
            continue
        teacher = Path(recipe.teacher)
        depths = _depth(recipe), _depth(read_recipe(teacher))
        pair = Pair(recipe.model.type, path, teacher)
        found[pair.family] = min(found.get(pair.family, (depths, pair)), (depths, pair), key=lambda item: item[0])
    return [found[family][1] for family in sorted(found)]


def _depth(recipe: Config) -> int:
    return int(recipe.model.backbone.get("depth", 1000))


@lru_cache(maxsize=1)
def build(pair: Pair) -> tuple[BaseDetector, BaseDetector]:
    """Student and teacher with random weights, the teacher's batch norm folded as in training.

    Heads keep PyTorch's own initialisation: mmdet's starts all predictions at nearly the same value, from which there
    is nothing to distil.
    """
    MMLogger.get_current_instance().setLevel("ERROR")
    torch.manual_seed(0)
    detectors = [build_plain(read_recipe(path), path) for path in (pair.student, pair.teacher)]
    for detector in detectors:
        detector.backbone.init_weights()
        detector.neck.init_weights()
    student, teacher = detectors
    return student, fold_batch_norm(teacher.eval())


def method_sets(student: BaseDetector) -> list[tuple[str, ...]]:
    """Every registered method that is written for the student's kind, alone and as recipes join them."""
    single = [(name,) for name, forms in METHODS.items() if kind_of(student) in forms]
    known = {name for (name,) in single}
    return [*single, *(names for names in JOINED if known.issuperset(names))]


def checks(place: Place) -> Iterator[Check]:
    """One check for each family and set of methods."""
    for pair in pairs():
        for names in method_sets(build(pair)[0]):

            def run(numbers: Numbers, pair: Pair = pair, names: tuple[str, ...] = names) -> None:
                compare(place, *build(pair), names, numbers)

            yield Check(f"{pair.family}: {' + '.join(names)}", run)


def compare(
    place: Place, student: BaseDetector, teacher: BaseDetector, names: tuple[str, ...], numbers: Numbers
) -> None:
    """Compare one step on the device with one on the CPU in fp32, then see that mixed precision stays finite.

    Raises:
        Mismatch: losses or gradients are further apart than :data:`RELATIVE_LIMIT`, or not finite.
    """
    for detector in (student, teacher):
        detector.cpu()
    torch.manual_seed(0)
    methods = build_methods([fitted(name, student, teacher) for name in names], student, teacher)
    distiller = Distiller(student, teacher, methods).train()
    size, classes = _TOY_SIZE if place.rehearsal else _SIZE, _classes(student)

    def step(precision: str) -> Step:
        return one_step(distiller, random_batch(_BATCH, size, classes), precision, place)

    reference = one_step(distiller, random_batch(_BATCH, size, classes), "fp32", None)
    distiller.to(place.device)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = step("fp32")
    compare_steps(reference, found, numbers, rounded_steps(distiller, lambda: random_batch(_BATCH, size, classes)))
    distiller.to(place.device)
    for precision in MIXED[:1] if place.rehearsal else MIXED:
        mixed = step(precision)
        drift = max(_relative(mixed.losses[name], value) for name, value in reference.losses.items())
        numbers[f"{precision} loss, relative"] = drift
        expect(f"{precision}: share of losses and gradients that are not finite", _not_finite(mixed), 0)
        if precision == "fp16":
            numbers["fp16 loss scale"] = mixed.scale


def rounded_steps(distiller: Distiller, batch: Callable[[], dict[str, Any]]) -> Iterator[Step]:
    """Steps on the CPU in fp32, each from weights that are off by a rounding; the distiller keeps its own.

    A ReLU, a largest value or a match that lies at its edge goes one way with one rounding and the other way with
    another. On a map of few cells that moves a gradient by a step: by 1.9 % for the convolution of GFL's P6, on an H200
    and in one of three such draws alike.
    """
    distiller.cpu()
    kept = {name: tensor.clone() for name, tensor in distiller.state_dict().items()}
    for seed in range(_DRAWS):
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in distiller.parameters():
                parameter.mul_(1 + _ROUNDING * torch.randn_like(parameter))
        step = one_step(distiller, batch(), "fp32", None)
        distiller.load_state_dict(kept)
        yield step


def compare_steps(reference: Step, found: Step, numbers: Numbers, rounded: Iterator[Step]) -> None:
    """Hold losses and gradients against the reference's.

    Args:
        reference, found: the two.
        numbers: gets what is found.
        rounded: asked only where a single gradient is too far off, for the same step with other roundings: it passes
            if it is what one of them gives.

    Raises:
        Mismatch: one of them is too far off; names the loss or the parameter.
    """
    losses = {name: _relative(found.losses[name], value) for name, value in reference.losses.items()}
    worst_loss = max(losses, key=lambda name: losses[name])
    total, apart = gradient_distances(reference.gradients, found.gradients)
    worst = max(apart, key=lambda name: apart[name])
    numbers |= {
        "losses": len(losses),
        "worst loss, relative": losses[worst_loss],
        "gradients": len(reference.gradients),
        "all gradients, relative": total,
        "worst gradient, relative": apart[worst],
    }
    expect(f"relative difference of {worst_loss}", losses[worst_loss], RELATIVE_LIMIT)
    expect("relative distance of all gradients", total, RELATIVE_LIMIT)
    tried = 0
    while apart[worst] > WORST_LIMIT and (step := next(rounded, None)):
        tried += 1
        other = gradient_distances(step.gradients, found.gradients)[1]
        apart = {name: min(distance, other[name]) for name, distance in apart.items()}
        worst = max(apart, key=lambda name: apart[name])
        numbers["roundings tried"] = tried
    expect(f"relative distance of the gradient of {worst}", apart[worst], WORST_LIMIT)


def gradient_distances(reference: dict[str, Tensor], found: dict[str, Tensor]) -> tuple[float, dict[str, float]]:
    """Relative L2 distance of all gradients together, and of each parameter's.

    A single one's is relative to its norm, or to a thousandth of the largest norm where it is smaller than that. A
    gradient that is missing on either side counts as infinitely far.
    """
    if missing := reference.keys() ^ found.keys():
        return float("inf"), dict.fromkeys(sorted(missing), float("inf"))
    norms = {name: gradient.double().norm() for name, gradient in reference.items()}
    apart = {name: (found[name].double() - gradient.double()).norm() for name, gradient in reference.items()}
    floor = 1e-3 * max(norms.values())
    single = {name: float(apart[name] / max(norm, floor)) for name, norm in norms.items()}
    total = torch.stack(list(apart.values())).norm() / torch.stack(list(norms.values())).norm()
    return float(total), single


def one_step(distiller: Distiller, data: dict[str, Any], precision: str, place: Place | None) -> Step:
    """Losses and gradients of one step, without a change of the weights; on the CPU without a ``place``."""
    device = place.device.type if place else "cpu"
    optimizer = torch.optim.SGD(distiller.parameters(), lr=0.0)
    wrapper = AutocastOptimWrapper(device, precision, optimizer=optimizer)
    scale = _FIRST_SCALE if precision == "fp16" else 1.0
    while True:
        # The samplers of two-stage detectors draw from the CPU's generator, whatever the device.
        torch.manual_seed(0)
        distiller.zero_grad(set_to_none=True)
        with wrapper.optim_context(distiller):
            batch = distiller.data_preprocessor(data, True)
            total, terms = distiller.parse_losses(distiller(**batch, mode="loss"))
        (scale * total).backward()
        step = Step(
            {name: float(value.detach()) for name, value in terms.items()},
            {name: _on_cpu(value.grad) for name, value in distiller.named_parameters() if value.grad is not None},
            scale,
        )
        # As a gradient scaler does it: a scale that overflows is halved until none does.
        if scale <= _LEAST_SCALE or not _not_finite(step):
            return step
        scale /= 2


def _on_cpu(gradient: Tensor) -> Tensor:
    return gradient.detach().float().cpu().clone()


def _not_finite(step: Step) -> float:
    wrong = sum(not bool(torch.isfinite(gradient).all()) for gradient in step.gradients.values())
    wrong += sum(not bool(torch.isfinite(torch.tensor(loss))) for loss in step.losses.values())
    return wrong / (len(step.gradients) + len(step.losses))


def _relative(found: float, reference: float) -> float:
    return abs(found - reference) / max(abs(reference), 1e-6)


def _classes(student: Any) -> int:
    head = student.roi_head.bbox_head if kind_of(student) is DetectorKind.TWO_STAGE else student.bbox_head
    return int(head.num_classes)
