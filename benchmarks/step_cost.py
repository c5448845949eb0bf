"""What a distillation step costs beside its parts: the student's step, the teacher's forward pass, the method alone.

Images and boxes are random, weights too. ``plain`` is fp32 as a training without this project's means would run it:
images and weights in PyTorch's usual order, the teacher's batch norm not folded.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from tqdm import tqdm

import pipeline  # noqa: F401  (before mmdet is imported)
from benchmarks.peak import reset_peak
from deploy.timing.memory import peak_memory
from pipeline.detectors import Batch
from pipeline.detectors.batch_norm import fold_batch_norm
from pipeline.distillers import Distiller, build_methods
from pipeline.distillers.method import View
from pipeline.recipes import build_plain, method_name, read_recipe
from pipeline.training.autocast import AutocastOptimWrapper

PLAIN = "plain"
TWIN = "student alone"
_MIB = 2**20


@dataclass(frozen=True)
class StepCost:
    """Medians of one case, in milliseconds, and the largest memory.

    Attributes:
        case: the methods, or :data:`TWIN`.
        images_per_second: of the whole step.
        step: the whole step.
        alone: the student's own step.
        teacher: the teacher's forward pass; 0 for the twin.
        method: the methods' losses, forward and backward; 0 for the twin.
        memory: MiB that a step adds to what lies in memory before it (weights and all).
        memory_bar: MiB of the student's own step, one level of the methods (the largest, by its share of cells) and
            10 %.
    """

    case: str
    images_per_second: float
    step: float
    alone: float
    teacher: float
    method: float
    memory: float
    memory_bar: float

    @property
    def over_parts(self) -> float:
        """The step over the sum of its parts."""
        return self.step / (self.alone + self.teacher + self.method)


class Case:
    """A student with the methods of a recipe, or alone, and one batch of random images.

    Args:
        recipe: file of the student's recipe.
        teacher: its stock teacher, batch norm folded as in training; none for the student alone.
        data: what the data loader would give.
        precision: ``plain``, ``fp32``, ``bf16`` or ``fp16``.
        device: where it runs.
    """

    def __init__(self, recipe: Path, teacher: Any, data: dict[str, Any], precision: str, device: torch.device) -> None:
        config = read_recipe(recipe)
        self.name = TWIN if teacher is None else method_name(config)
        self.data, self.device, self.largest_level = data, device, 1.0
        torch.manual_seed(0)
        student = build_plain(config, recipe)
        methods = [] if teacher is None else build_methods(config.distillation.methods, student, teacher)
        self.distiller = Distiller(student, teacher, methods).to(device).train()
        self.memory_format = torch.contiguous_format if precision == PLAIN else torch.channels_last
        if precision != PLAIN:
            self.distiller.use_channels_last()
        optimizer = torch.optim.SGD(self.distiller.parameters(), lr=1e-6)
        self.wrapper = AutocastOptimWrapper(
            device.type, "fp32" if precision == PLAIN else precision, optimizer=optimizer
        )

    def step(self) -> None:
        """One training step."""
        self.distiller.train_step(self.data, self.wrapper)

    def images(self) -> Tensor:
        """The normalised images as the student and the teacher get them."""
        inputs: Tensor = self.distiller.data_preprocessor(self.data, True)["inputs"]
        return inputs.contiguous(memory_format=self.memory_format)

    def teacher_alone(self) -> Callable[[], None]:
        """The teacher's forward pass as a function; normalisation of the images is part of the student's step."""
        inputs = self.images()
        batch = Batch.of(inputs, self.distiller.data_preprocessor(self.data, True)["data_samples"])

        def run() -> None:
            with self.wrapper.optim_context(self.distiller):
                self.distiller._forward_teacher(inputs, batch)

        return run

    def method_alone(self) -> Callable[[], None]:
        """The methods' losses, forward and backward, as a function of recorded views."""
        calls: list[tuple[Any, tuple[Any, ...]]] = []
        with patched_losses(self.distiller, calls):
            self.step()
        # Cut off from the step's graph, which would stay in memory with them.
        calls = [(method, (leaves(student), *rest)) for method, (student, *rest) in calls]
        cells = [level.shape[-2] * level.shape[-1] for level in calls[0][1][0].features]
        self.largest_level = max(cells) / sum(cells)

        def run() -> None:
            with self.wrapper.optim_context(self.distiller):
                found = [method.losses(leaves(student), *rest) for method, (student, *rest) in calls]
                total = sum(loss for each in found for loss in flat(each).values())
            assert isinstance(total, Tensor)
            total.backward()
            self.distiller.zero_grad()

        return run


def build_teacher(recipe: Path, precision: str) -> Any:
    """A teacher with random weights, its batch norm folded unless ``precision`` is ``plain``."""
    teacher = build_plain(read_recipe(recipe), recipe).eval()
    return teacher if precision == PLAIN else fold_batch_norm(teacher)


def measure(
    recipes: Sequence[Path],
    teacher_recipe: Path,
    data: dict[str, Any],
    precision: str,
    device: torch.device,
    rounds: int,
    warmup: int,
) -> Iterator[StepCost]:
    """The student alone first, then every recipe's case; all take turns, medians are given.

    Args:
        recipes: of one student with different methods.
        data: a batch as the data loader gives it (:func:`pipeline.training.step_time.random_batch`).
        rounds: measured steps of each case.
        warmup: steps before them.
    """
    teacher = build_teacher(teacher_recipe, precision)
    alone = Case(recipes[0], None, data, precision, device)
    cases = [Case(path, teacher, data, precision, device) for path in recipes]
    runs: dict[tuple[str, str], Callable[[], None]] = {(TWIN, "step"): alone.step}
    for case in cases:
        runs |= {
            (case.name, "step"): case.step,
            (case.name, "teacher"): case.teacher_alone(),
            (case.name, "method"): case.method_alone(),
        }
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    memory: dict[tuple[str, str], list[int]] = {key: [] for key in runs}
    for place in tqdm(range(warmup + rounds), desc=precision, unit="round"):
        for key, run in runs.items():
            took, rose = timed(run, device)
            if place >= warmup:
                seconds[key].append(took)
                memory[key].append(rose)
    median = {key: 1e3 * statistics.median(values) for key, values in seconds.items()}
    highest = {key: max(values) / _MIB for key, values in memory.items()}
    base, batch = (TWIN, "step"), len(data["inputs"])
    yield StepCost(TWIN, 1e3 * batch / median[base], median[base], median[base], 0, 0, highest[base], 0)
    for case in cases:
        step, teacher_ms, method = (median[case.name, part] for part in ("step", "teacher", "method"))
        bar = 1.1 * (highest[base] + case.largest_level * highest[case.name, "method"])
        rate, memory_mib = 1e3 * batch / step, highest[case.name, "step"]
        yield StepCost(case.name, rate, step, median[base], teacher_ms, method, memory_mib, bar)


def flat(losses: dict[str, Any]) -> dict[str, Tensor]:
    """Lists of levels summed."""
    return {name: torch.stack(value).sum() if isinstance(value, list) else value for name, value in losses.items()}


@contextmanager
def patched_losses(distiller: Distiller, calls: list[Any]) -> Iterator[None]:
    """Record what each method is given while it does its work."""
    patches = []
    for method in distiller.methods:
        original = method.losses

        def spy(*arguments: Any, method: Any = method, original: Any = original) -> Any:
            calls.append((method, arguments))
            return original(*arguments)

        patches.append(patch.object(method, "losses", spy))
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()


def leaves(view: View) -> View:
    """A view whose tensors are leaves that take gradients."""

    def leaf(tensor: Tensor) -> Tensor:
        return tensor.detach().requires_grad_()

    return View(
        tuple(map(leaf, view.features)),
        [{name: leaf(maps) for name, maps in level.items()} for level in view.predictions],
        {name: [leaf(maps) for maps in levels] for name, levels in view.taps.items()},
    )


def timed(run: Callable[[], None], device: torch.device) -> tuple[float, int]:
    """Seconds of one call, and by how many bytes memory rose at its peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.synchronize(device)
    else:
        before = reset_peak()
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter() - start, torch.cuda.max_memory_allocated(device) - before
    return time.perf_counter() - start, peak_memory() - before
