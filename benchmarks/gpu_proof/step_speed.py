"""Part 2: what a distillation step costs at COCO size, beside its parts, and what graphs and a compiler would save.

GFL, ResNet-101 to ResNet-50, 8 images of 800 x 1344. A family with recipes of another name is measured when
:data:`PAIRS` has a line for it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.gpu_proof.place import Check, Mismatch, NotRun, Place, expect
from benchmarks.gpu_proof.record import Numbers
from benchmarks.step_cost import PLAIN, TWIN, StepCost, build_teacher, measure, timed
from pipeline.training.autocast import DTYPES
from pipeline.training.step_time import random_batch

STUDENTS = Path("configs/students")
TEACHERS = Path("configs/teachers")


@dataclass(frozen=True)
class StepPair:
    """Recipes of one student with different methods, and their teacher."""

    family: str
    recipes: tuple[Path, ...]
    teacher: Path


PAIRS = (
    StepPair(
        "GFL",
        tuple(
            STUDENTS / f"{name}.py"
            for name in (
                "crosskd_gfl_r101_r50_1x_coco",
                "crosskd_pkd_gfl_r101_r50_1x_coco",
                "cskd_gfl_r101_r50_2x_ms_coco",
            )
        ),
        TEACHERS / "gfl_r101_2x_ms_coco.py",
    ),
)
TOY_PAIRS = (
    StepPair(
        "GFL",
        (STUDENTS / "crosskd_gfl_mobilenetv2_r18w16_embedded.py",),
        TEACHERS / "gfl_mobilenetv2_embedded.py",
    ),
)
_BATCH, _SIZE, _CLASSES = 8, (800, 1344), 80
_ROUNDS, _WARMUP = 3, 2
_TEACHER_CALLS = 10
_SAME = 2e-2
"""Relative distance that a graph or a compiled teacher may have from the plain one in bf16."""


def checks(place: Place) -> Iterator[Check]:
    """Each precision of each pair, and the ways to run the teacher; what trainings use comes first."""
    torch.backends.cudnn.benchmark = True  # as a training sets it
    for pair in TOY_PAIRS if place.rehearsal else PAIRS:
        yield _step_check(place, pair, "bf16")
        yield _teacher_check(place, pair, "one CUDA graph", _graphed)
        yield _step_check(place, pair, "fp32")
        yield _teacher_check(place, pair, "torch.compile", _compiled)
        yield _step_check(place, pair, PLAIN)


def _step_check(place: Place, pair: StepPair, precision: str) -> Check:
    return Check(f"{pair.family}: step in {precision}", lambda numbers: _step(place, pair, precision, numbers))


def _teacher_check(place: Place, pair: StepPair, title: str, way: Callable[..., Any]) -> Check:
    return Check(f"{pair.family}: teacher as {title}", lambda numbers: _teacher(place, pair, way, numbers))


def _step(place: Place, pair: StepPair, precision: str, numbers: Numbers) -> None:
    rounds, warmup = (1, 0) if place.rehearsal else (_ROUNDS, _WARMUP)
    for cost in measure(pair.recipes, pair.teacher, _batch(place), precision, place.device, rounds, warmup):
        numbers |= _cells(cost)


def _cells(cost: StepCost) -> Numbers:
    found: Numbers = {"images/s": cost.images_per_second, "step, ms": cost.step, "memory, MiB": cost.memory}
    if cost.case != TWIN:
        found |= {"teacher, ms": cost.teacher, "method, ms": cost.method}
        found |= {"step / sum of parts": cost.over_parts, "memory bar, MiB": cost.memory_bar}
    return {f"{cost.case}: {name}": value for name, value in found.items()}


def _teacher(place: Place, pair: StepPair, way: Callable[..., Any], numbers: Numbers) -> None:
    """The teacher's forward pass in bf16, plain and in another way: equal outputs, and how much faster."""
    teacher = build_teacher(pair.teacher, "bf16").to(place.device, memory_format=torch.channels_last)
    images = teacher.data_preprocessor(_batch(place), False)["inputs"].contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast(place.device.type, DTYPES["bf16"], cache_enabled=False):
        other = way(place, teacher, images)
        numbers["relative distance of the outputs"] = distance = _distance(_flat(teacher(images)), _flat(other(images)))
        expect("relative distance of the outputs", distance, _SAME)
        times: dict[str, list[float]] = {"plain": [], "other": []}
        for _ in range(1 if place.rehearsal else _TEACHER_CALLS):
            for name, run in (("plain", teacher), ("other", other)):
                times[name].append(1e3 * timed(lambda run=run: run(images), place.device)[0])  # type: ignore[misc]
    plain, faster = median(times["plain"]), median(times["other"])
    numbers |= {"plain, ms": plain, "this way, ms": faster, "times as fast": plain / faster}


def _graphed(place: Place, teacher: Any, images: torch.Tensor) -> Callable[[torch.Tensor], Any]:
    if place.device.type != "cuda":
        raise NotRun("CUDA graphs need a CUDA device")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            teacher(images)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = teacher(images)

    def replay(_: torch.Tensor) -> Any:
        graph.replay()
        return outputs

    return replay


def _compiled(place: Place, teacher: Any, images: torch.Tensor) -> Callable[[torch.Tensor], Any]:
    if place.rehearsal:
        raise NotRun("compiling takes a minute and more on a CPU; docs/results.md has what it gave there")
    compiled: Callable[[torch.Tensor], Any] = torch.compile(teacher)
    compiled(images)
    return compiled


def _batch(place: Place) -> dict[str, Any]:
    return random_batch(1, (64, 96), 10) if place.rehearsal else random_batch(_BATCH, _SIZE, _CLASSES)


def _flat(outputs: Any) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs.float().clone()]
    return [tensor for each in outputs for tensor in _flat(each)]


def _distance(reference: list[torch.Tensor], found: list[torch.Tensor]) -> float:
    if len(reference) != len(found):
        raise Mismatch(f"{len(found)} outputs in the place of {len(reference)}")
    apart = sum(float((one - other).square().sum()) for one, other in zip(reference, found, strict=True))
    return float((apart / sum(float(one.square().sum()) for one in reference)) ** 0.5)
