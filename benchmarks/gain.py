"""What distillation gains over the twin: every student of params.yaml, trained with several seeds.

One run trains one student with one seed, as `dvc repro` does, and measures its accuracy through the run-time pipeline
of the artefacts. A run that is on record for the same recipe, data, teacher, seed and settings is not repeated, so a
study that was stopped goes on. Needs the data set, the recipes and the teacher:

    dvc repro evaluate_teacher
    python -m benchmarks.gain --seeds 5 --jobs 2
    python -m benchmarks.gain --seeds 3 --budgets 500 1500 4500

A budget is a training's length in iterations (epochs where a recipe counts them); the recipe's schedule goes with it.
"""

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from scipy import stats
from tqdm import tqdm

from deploy.ladder.pytorch_rung import evaluate_model
from pipeline.cli import stage_main
from pipeline.errors import PipelineError
from pipeline.layout import DATASET, DATASET_RECORD, TEACHER, recipe_file, weights_file
from pipeline.recipes import Recipe, load_resolved, resolve, write_resolved
from pipeline.recipes.length import at_length
from pipeline.recipes.recipe import pseudo_label_ratio
from pipeline.recipes.resolving import plain_settings
from pipeline.records import DatasetRecord, Record
from pipeline.settings import EvaluateSettings, Params, load_params
from pipeline.storage import sha256_of, write_atomic
from pipeline.student import student_job
from pipeline.training import train
from pipeline.training.loaders import workers_of
from pipeline.training.pseudo_labelled import pseudo_labels_sha256
from pipeline.training.resumption import finish

OUT = Path("build/gain")


class GainRun(Record):
    """One student with one seed: AP in points on the val split (the kept checkpoint's) and on the measured split.

    ``budget`` is the training's length that was asked for; none is the recipe's own.
    """

    student: str
    method: str
    seed: int
    budget: int | None = None
    key: str
    split: str
    val_ap: float
    ap: float
    iterations: int
    seconds: float


@dataclass(frozen=True)
class Case:
    """What one run trains: a student of ``params.yaml`` with a seed and a budget (none: the recipe's own length)."""

    student: str
    seed: int
    budget: int | None = None

    @property
    def name(self) -> str:
        """The stem of its files."""
        return "-".join([self.student, *([str(self.budget)] if self.budget else []), f"seed{self.seed}"])

    @property
    def arguments(self) -> list[str]:
        """What tells another process of it."""
        return [self.student, str(self.seed), str(self.budget or 0)]


@dataclass(frozen=True)
class Gain:
    """The paired difference of a student to the baseline over seeds, in AP points.

    Attributes:
        mean: mean of the differences.
        low, high: 95 % interval of the mean from Student's t with ``pairs - 1`` degrees of freedom; equal to the
            infinities for a single pair.
        pairs: seeds that both were trained with.
    """

    mean: float
    low: float
    high: float
    pairs: int


def paired_gain(student: dict[int, float], baseline: dict[int, float], confidence: float = 0.95) -> Gain:
    """Mean and interval of ``student - baseline`` over the seeds that both have.

    Args:
        student, baseline: AP by seed.
        confidence: coverage of the interval.

    Raises:
        PipelineError: no seed is in both.

    Source: Student's t interval of paired differences; seeds fix initial weights and data order for both.
    """
    seeds = sorted(student.keys() & baseline.keys())
    if not seeds:
        raise PipelineError("no seed was trained for both the student and the baseline")
    differences = [student[seed] - baseline[seed] for seed in seeds]
    mean = statistics.fmean(differences)
    if len(seeds) == 1:
        return Gain(mean, float("-inf"), float("inf"), 1)
    spread = stats.sem(differences) * stats.t.ppf((1 + confidence) / 2, len(seeds) - 1)
    return Gain(mean, mean - float(spread), mean + float(spread), len(seeds))


def table(runs: list[GainRun], baseline: str) -> str:
    """The study as a Markdown table: one row a budget and student, in the order in which they first appear."""
    rows_of: dict[tuple[int, str], list[GainRun]] = {}
    for run in runs:
        rows_of.setdefault((run.iterations, run.student), []).append(run)
    split = runs[0].split
    titles = ["iterations", "student", "method", "seeds", f"AP {split}", "AP val"]
    titles += [f"over {baseline}, {split}", f"over {baseline}, val", "training time (median)"]
    rows = [titles, ["---"] * len(titles)]
    for (iterations, name), trained in rows_of.items():
        others = [] if name == baseline else rows_of.get((iterations, baseline), [])
        rows.append(
            [
                *(str(iterations), name, trained[0].method, str(len(trained))),
                *(_mean(trained, field) for field in ("ap", "val_ap")),
                *(_difference(trained, others, field) for field in ("ap", "val_ap")),
                f"{statistics.median(run.seconds for run in trained):.0f} s",
            ]
        )
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def recipe_of(params: Params, case: Case, out: Path) -> Recipe:
    """The recipe as `dvc repro` trains it, at the length of the case; its file is in ``out``."""
    own = load_resolved(recipe_file(case.student))
    if case.budget is None:
        return replace(own, name=case.name)
    options = {**params.trained[case.student].options, **at_length(own.config, case.budget)}
    target = out / f"{case.name}.recipe.json"
    plain = plain_settings(params, case.student)
    write_resolved(target, resolve(own.path, DatasetRecord.read(DATASET_RECORD), options, plain))
    return replace(load_resolved(target), name=case.name)


def run_key(params: Params, recipe: Recipe, seed: int) -> str:
    """Changes with anything that decides a run's numbers."""
    splits = DatasetRecord.read(DATASET_RECORD).splits
    teacher = sha256_of(weights_file(TEACHER)) if recipe.method != "none" else ""
    train_settings = params.train.model_copy(update={"seed": seed}).model_dump_json()
    parts = [recipe.sha256, teacher, train_settings, params.evaluate.split, params.export.model_dump_json()]
    parts += [splits[name].sha256 for name in sorted(splits)]
    if pseudo_label_ratio(recipe.config) is not None:
        parts.append(pseudo_labels_sha256())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def measure(params: Params, case: Case, jobs: int, out: Path) -> GainRun:
    """Train one case beside ``jobs - 1`` others and measure it; the run is on record in ``out`` afterwards."""
    recipe = recipe_of(params, case, out)
    workers = max(1, workers_of(params.train) // jobs)
    job = student_job(recipe, params.train.model_copy(update={"seed": case.seed, "workers": workers}))
    trained = out / f"{case.name}.safetensors"
    record = train(job, trained)
    assert record is not None, "one process trains, and it is the first"
    # The bootstrap over images plays no part here: the spread is that of the seeds.
    once = params.model_copy(update={"evaluate": EvaluateSettings(split=params.evaluate.split, resamples=1)})
    evaluation = evaluate_model(recipe, trained, DATASET, once, out / f"{case.name}.detections.json")
    run = GainRun(
        student=case.student,
        method=recipe.method,
        seed=case.seed,
        budget=case.budget,
        key=run_key(params, recipe, case.seed),
        split=evaluation.accuracy.split,
        val_ap=_present(record.best_val_ap, "val"),
        ap=_present(evaluation.accuracy.numbers.ap, evaluation.accuracy.split),
        iterations=record.iterations,
        seconds=record.seconds,
    )
    run.write(out / f"{case.name}.run.json")
    finish(job.work_dir)
    return run


def finished(params: Params, case: Case, out: Path) -> GainRun | None:
    """The run on record, if it is of the recipe, data, teacher and settings of today."""
    path = out / f"{case.name}.run.json"
    if not path.exists():
        return None
    run = GainRun.read(path)
    return run if run.key == run_key(params, recipe_of(params, case, out), case.seed) else None


@stage_main
def main(argv: Sequence[str] | None = None) -> None:
    """Run the study, or one run of it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="seeds 0 to N - 1 (%(default)s)")
    parser.add_argument("--students", nargs="+", help="keys of params.yaml: twins and students (all of them)")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; they share the cores (%(default)s)")
    parser.add_argument("--out", type=Path, help=f"folder of the runs ({OUT}/<data set>)")
    parser.add_argument("--budgets", type=int, nargs="+", metavar="N", help="lengths of the trainings (the recipes')")
    parser.add_argument("--run", nargs=3, metavar=("STUDENT", "SEED", "BUDGET"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    params = load_params()
    out: Path = arguments.out or OUT / params.data.name
    out.mkdir(parents=True, exist_ok=True)
    if arguments.run:
        student, seed, budget = arguments.run
        measure(params, Case(student, int(seed), int(budget) or None), arguments.jobs, out)
        return
    students: list[str] = arguments.students or list(params.trained)
    if unknown := [name for name in students if name not in params.trained]:
        raise PipelineError(
            f"--students: {unknown} are no keys of params.yaml: twins or students; known: {list(params.trained)}"
        )
    if any(budget < 1 for budget in arguments.budgets or []):
        raise PipelineError(f"--budgets: {arguments.budgets}: a training has at least one iteration")
    # Seed by seed, so that a study that is stopped has whole pairs.
    budgets: list[int | None] = arguments.budgets or [None]
    study(
        params,
        [Case(name, seed, budget) for budget in budgets for seed in range(arguments.seeds) for name in students],
        arguments.jobs,
        out,
    )


def study(params: Params, cases: list[Case], jobs: int, out: Path) -> None:
    """Make the runs that are not on record yet and print the table of all.

    Raises:
        PipelineError: a run failed; the table of the others is written all the same.
    """
    missing = [case for case in cases if finished(params, case, out) is None]
    # The pool ends first: the bar is there until the last run is.
    with tqdm(total=len(missing), desc="gain", unit="run") as bar, ThreadPoolExecutor(jobs) as pool:
        for started in [pool.submit(_start, case, out, jobs) for case in missing]:
            started.add_done_callback(lambda _: bar.update())
    records = {case: finished(params, case, out) for case in cases}
    if present := [record for record in records.values() if record]:
        text = table(present, params.report.baseline)
        write_atomic(out / "gain.md", text)
        print(text)
    if failed := [f"{out}/{case.name}.log" for case, record in records.items() if record is None]:
        raise PipelineError(f"{len(failed)} of {len(cases)} runs failed; these say why: {', '.join(failed)}")


def _start(case: Case, out: Path, jobs: int) -> None:
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    command = [sys.executable, "-m", "benchmarks.gain", "--out", str(out), "--jobs", str(jobs), "--run"]
    with (out / f"{case.name}.log").open("w", encoding="utf-8") as log:
        subprocess.run(
            [*command, *case.arguments],
            env={"OMP_NUM_THREADS": threads, **os.environ},
            stdout=log,
            stderr=subprocess.STDOUT,
            check=False,
        )


def _present(ap: float | None, split: str) -> float:
    if ap is None:
        raise PipelineError(f"the {split} split has no box to find, so there is no AP to compare")
    return ap


def _mean(runs: list[GainRun], field: str) -> str:
    values = [getattr(run, field) for run in runs]
    spread = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{spread}"


def _difference(runs: list[GainRun], baseline: list[GainRun], field: str) -> str:
    student, twin = ({run.seed: float(getattr(run, field)) for run in each} for each in (runs, baseline))
    if not student.keys() & twin.keys():
        return ""
    gain = paired_gain(student, twin)
    return f"{gain.mean:+.1f} [{gain.low:+.1f}, {gain.high:+.1f}]"


if __name__ == "__main__":
    main()
