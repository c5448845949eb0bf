"""What a distillation step costs: its time and peak memory beside those of its parts, in one process.

Cases take turns, medians are shown; what the columns are stands in :mod:`benchmarks.step_cost`.

    python -m benchmarks.distill_step                                     # the embedded pair, 256 px, batch 8
    python -m benchmarks.distill_step --teacher T.py --students S.py ... --size 800 1333 --batch 2
"""

import argparse
import os
from pathlib import Path

import torch

from benchmarks.step_cost import PLAIN, TWIN, StepCost, measure
from pipeline.compute import choose_device
from pipeline.recipes import read_recipe
from pipeline.training.step_time import random_batch

STUDENTS = Path("configs/students")
TEACHER = Path("configs/teachers/gfl_mobilenetv2_embedded.py")


def row(precision: str, cost: StepCost) -> str:
    """A row of the table."""
    parts = [f"{cost.step:.0f}"]
    if cost.case == TWIN:
        parts += ["", "", "", f"{cost.memory:.0f}", ""]
    else:
        parts += [f"{cost.teacher:.0f}", f"{cost.method:.0f}", f"{cost.over_parts:.2f}"]
        parts += [f"{cost.memory:.0f}", f"{cost.memory_bar:.0f}"]
    return f"| {' | '.join([precision, cost.case, f'{cost.images_per_second:.2f}', *parts])} |"


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distill_step",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    given = parser.parse_args()
    height, width = given.size
    classes = read_recipe(given.students[0]).model.bbox_head.num_classes
    data = random_batch(given.batch, (height, width), classes)
    device = choose_device("auto")
    lines = [
        row(precision, cost)
        for precision in given.precisions
        for cost in measure(given.students, given.teacher, data, precision, device, given.rounds, given.warmup)
    ]
    print(f"{height}x{width}, batch {given.batch}, {os.cpu_count()} cores, torch {torch.__version__}")
    parts = "step, ms | teacher, ms | method alone, ms | step / sum of parts"
    print(f"| precision | step of | images/s | {parts} | MiB | bar |")
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
