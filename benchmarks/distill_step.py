"""What a distillation step costs: its time and peak memory beside those of its parts, in one process.

Parts are the student's own training step, the teacher's forward pass, and the method alone (its losses, forward and
backward, on recorded features). Cases take turns, medians are shown; images and boxes are random, weights too.

``plain`` is fp32 as a training without this project's means would run it: images and weights in PyTorch's usual order,
the teacher's batch norm not folded. Memory is what a step adds to what lies in memory before it (weights and all); the
bar beside it is the student's own step, one level of the method alone (the largest, by its share of cells) and 10 %.

    python -m benchmarks.distill_step                                     # the embedded pair, 256 px, batch 8
    python -m benchmarks.distill_step --teacher T.py --students S.py ... --size 800 1333 --batch 2
"""

import argparse
import ctypes
import gc
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor
from tqdm import tqdm

import pipeline  # noqa: F401  (before mmdet is imported)
from deploy.timing.memory import peak_memory
from pipeline.compute import choose_device
from pipeline.detectors.batch_norm import fold_batch_norm
from pipeline.distillers import Distiller, build_methods
from pipeline.distillers.method import View
from pipeline.recipes import method_name, without_pretrained
from pipeline.training.autocast import AutocastOptimWrapper

from mmdet.registry import MODELS  # isort: skip
from mmdet.structures import DetDataSample  # isort: skip
from mmdet.utils import register_all_modules  # isort: skip

STUDENTS = Path("configs/students")
TEACHER = Path("configs/teachers/gfl_mobilenetv2_embedded.py")
TWIN = "student alone"
PLAIN = "plain"


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
        config = Config.fromfile(str(recipe))
        self.name = TWIN if teacher is None else method_name(config)
        self.data, self.device, self.largest_level = data, device, 1.0
        torch.manual_seed(0)
        student = MODELS.build(without_pretrained(ConfigDict(config.model)))
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

    def teacher_alone(self) -> Callable[[], None]:
        """The teacher's forward pass as a function; normalisation of the images is part of the student's step."""
        inputs = self.distiller.data_preprocessor(self.data, True)["inputs"]
        inputs = inputs.contiguous(memory_format=self.memory_format)

        def run() -> None:
            with self.wrapper.optim_context(self.distiller):
                self.distiller._forward_teacher(inputs)

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


def random_batch(batch: int, size: tuple[int, int], classes: int, boxes: int = 6) -> dict[str, Any]:
    """Images of noise with random boxes, as a data loader gives them."""
    generator = torch.Generator().manual_seed(0)
    height, width = size
    samples = []
    for _ in range(batch):
        corners = torch.rand(boxes, 2, 2, generator=generator).sort(dim=1).values
        bboxes = corners.flatten(1) * torch.tensor([width, height] * 2) + torch.tensor([0.0, 0.0, 8.0, 8.0])
        labels = torch.randint(classes, (boxes,), generator=generator)
        sample = DetDataSample(gt_instances=InstanceData(bboxes=bboxes, labels=labels))
        sample.set_metainfo({"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0)})
        samples.append(sample)
    images = [torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8) for _ in range(batch)]
    return {"inputs": images, "data_samples": samples}


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


def reset_peak() -> int:
    """Give free memory back to the system and let the peak start anew (Linux, proc(5) clear_refs); 0 elsewhere."""
    if not sys.platform.startswith("linux"):
        return 0
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory()


def measure(arguments: argparse.Namespace, precision: str) -> list[str]:
    """Rows of the table for one precision."""
    device = choose_device("auto")
    first = Config.fromfile(str(arguments.students[0]))
    data = random_batch(arguments.batch, tuple(arguments.size), first.model.bbox_head.num_classes)
    config = Config.fromfile(str(arguments.teacher))
    teacher = MODELS.build(without_pretrained(ConfigDict(config.model))).eval()
    if precision != PLAIN:
        teacher = fold_batch_norm(teacher)
    alone = Case(arguments.students[0], None, data, precision, device)
    cases = [Case(path, teacher, data, precision, device) for path in arguments.students]
    runs: dict[tuple[str, str], Callable[[], None]] = {(TWIN, "step"): alone.step}
    for case in cases:
        runs |= {
            (case.name, "step"): case.step,
            (case.name, "teacher"): case.teacher_alone(),
            (case.name, "method"): case.method_alone(),
        }
    seconds: dict[tuple[str, str], list[float]] = {key: [] for key in runs}
    memory: dict[tuple[str, str], list[int]] = {key: [] for key in runs}
    for place in tqdm(range(arguments.warmup + arguments.rounds), desc=precision, unit="round"):
        for key, run in runs.items():
            took, rose = timed(run, device)
            if place >= arguments.warmup:
                seconds[key].append(took)
                memory[key].append(rose)
    median = {key: statistics.median(values) for key, values in seconds.items()}
    highest = {key: max(values) / 2**20 for key, values in memory.items()}
    base = (TWIN, "step")
    rows = [[precision, TWIN, _rate(arguments.batch, median[base]), "", "", "", "", f"{highest[base]:.0f}", ""]]
    for case in cases:
        step, look, method = (median[case.name, part] for part in ("step", "teacher", "method"))
        ratio = step / (median[base] + look + method)
        parts = [f"{1000 * part:.0f}" for part in (step, look, method)]
        cells = [precision, case.name, _rate(arguments.batch, step), *parts, f"{ratio:.2f}"]
        bar = 1.1 * (highest[base] + case.largest_level * highest[case.name, "method"])
        rows.append([*cells, f"{highest[case.name, 'step']:.0f}", f"{bar:.0f}"])
    rows[0][3] = f"{1000 * median[base]:.0f}"
    return [f"| {' | '.join(row)} |" for row in rows]


def _rate(batch: int, seconds: float) -> str:
    return f"{batch / seconds:.2f}"


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", type=Path, default=TEACHER, help="recipe of the teacher (%(default)s)")
    embedded = sorted(path for path in STUDENTS.glob("*_r18w16_embedded.py") if not path.name.startswith("twin"))
    parser.add_argument("--students", type=Path, nargs="+", default=embedded, help="recipes with methods")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--batch", type=int, default=8, help="images a step (%(default)s)")
    parser.add_argument(
        "--precisions", nargs="+", default=[PLAIN, "fp32", "bf16"], choices=[PLAIN, "fp32", "bf16", "fp16"]
    )
    parser.add_argument("--rounds", type=int, default=7, help="measured steps of each case (%(default)s)")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them (%(default)s)")
    arguments = parser.parse_args()
    register_all_modules(init_default_scope=True)
    lines = [row for precision in arguments.precisions for row in measure(arguments, precision)]
    height, width = arguments.size
    print(f"{height}x{width}, batch {arguments.batch}, {os.cpu_count()} cores, torch {torch.__version__}")
    parts = "step, ms | teacher, ms | method alone, ms | step / sum of parts"
    print(f"| precision | step of | images/s | {parts} | MiB | bar |")
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
