"""Part 3: the students of the embedded chain, trained on the GPU as ``dvc repro`` trains them.

Each one is a process of its own, ``python -m benchmarks.gpu_proof.training STUDENT FOLDER DEVICE``. They start together
and take turns on the GPU: small kernels of four processes, which share it by slices of time, took more than 0.25 s an
iteration on an H200. Their AP on the test split is held against what five seeds gave on a CPU.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

import pipeline  # noqa: F401  (before mmdet is imported)
from benchmarks.gpu_proof.embedded import Embedded, renamed
from benchmarks.gpu_proof.place import Check, Mismatch, Place
from benchmarks.gpu_proof.record import Numbers
from benchmarks.gpu_proof.turns import turn
from deploy.ladder.pytorch_rung import evaluate_model
from pipeline.checkpoints import load_detector
from pipeline.layout import TEACHER
from pipeline.records import DatasetRecord
from pipeline.settings import EvaluateSettings, load_params
from pipeline.training import TrainingJob, train
from pipeline.training.resumption import finish

CPU_AP = {
    "twin": (40.8, 45.4, 42.8, 42.6, 40.3),
    "crosskd": (51.0, 49.0, 49.7, 49.4, 46.0),
    "crosskd_pkd": (51.7, 51.3, 52.2, 48.4, 51.1),
    "cskd": (56.5, 57.4, 57.0, 55.0, 56.9),
}
"""AP on the test split by seed, trained on a CPU in bf16 (docs/results.md, the gain over five seeds)."""
_STUDENT_T = 2.776  # 95 %, four degrees of freedom
_TOY = {"train_cfg.max_iters": 4, "train_cfg.val_interval": 4, "train_dataloader.batch_size": 2}
_LAST_LINES = 4


@dataclass
class Trainings:
    """The processes of all students, started together when the first one is asked for; one trains at a time."""

    place: Place
    students: list[str]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self) -> None:
        """Start all of them, unless they run already; the data set is made before they need it.

        Raises:
            NotRun: there is no data set.
        """
        if self.processes:
            return
        Embedded.open(self.place.scratch, self.place.rehearsal)
        threads = str(max(1, len(os.sched_getaffinity(0)) // len(self.students)))
        for student in self.students:
            folder = self.place.scratch / student
            folder.mkdir()
            self.processes[student] = subprocess.Popen(
                self.command(student, folder),
                env={"OMP_NUM_THREADS": threads, **os.environ},
                stdout=(folder / "log").open("wb"),
                stderr=subprocess.STDOUT,
            )

    def command(self, student: str, folder: Path) -> list[str]:
        """What trains one student."""
        arguments = [student, str(folder), self.place.device.type, *(["--rehearse"] * self.place.rehearsal)]
        return [sys.executable, "-m", "benchmarks.gpu_proof.training", *arguments]

    def result(self, student: str, numbers: Numbers) -> None:
        """Wait for one student; raises :class:`Mismatch` where it failed or its AP is not a CPU's."""
        self.start()
        code = self.processes[student].wait()
        folder = self.place.scratch / student
        if code:
            lines = (folder / "log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise Mismatch(f"exit code {code}: {' | '.join(lines[-_LAST_LINES:])}")
        numbers |= json.loads((folder / "result.json").read_text(encoding="utf-8"))
        if not self.place.rehearsal:
            check_ap(student, float(numbers["AP test"]), numbers)


def check_ap(student: str, ap: float, numbers: Numbers) -> None:
    """Hold an AP against the interval that one more CPU seed would fall into with 95 %.

    Source: prediction interval of one new observation, mean ± t · s · sqrt(1 + 1 / n).

    Raises:
        Mismatch: it is outside.
    """
    seeds = CPU_AP[student]
    mean, reach = fmean(seeds), _STUDENT_T * stdev(seeds) * (1 + 1 / len(seeds)) ** 0.5
    numbers |= {"CPU's AP, five seeds": round(mean, 1), "one more seed, ±": round(reach, 1)}
    if abs(ap - mean) > reach:
        raise Mismatch(f"AP {ap:.1f} is outside {mean:.1f} ± {reach:.1f}, where one more CPU seed falls with 95 %")


def checks(place: Place) -> Iterator[Check]:
    """One check for each student of the embedded chain."""
    names = [name for name in load_params().trained if name in CPU_AP]
    trainings = Trainings(place, names)
    for name in names:
        yield Check(f"train {name}", lambda numbers, name=name: trainings.result(name, numbers))  # type: ignore[misc]


def train_student(student: str, folder: Path, device: str, rehearsal: bool) -> Numbers:
    """Train and measure one student; its files go to ``folder`` and its work directory is removed afterwards."""
    embedded = Embedded.open(folder, rehearsal)
    params = embedded.params
    recipe = renamed(embedded.recipe(student, _TOY if rehearsal else None), f"gpu-proof-{student}")
    teacher = None
    if recipe.has_methods:
        weights = embedded.teacher_weights()
        teacher = (load_detector(embedded.recipe(TEACHER), weights), weights)
    settings = params.train.model_copy(update={"device": device, "launcher": "none"})
    dataset = DatasetRecord.read(embedded.dataset_dir / "dataset.json")
    job = TrainingJob(recipe, dataset, embedded.dataset_dir, settings, teacher)
    finish(job.work_dir)
    trained = folder / "student.safetensors"
    with turn(folder.parent / "turn"):
        record = train(job, trained)
    assert record is not None, "one process trains, and it is the first"
    finish(job.work_dir)
    once = params.model_copy(update={"evaluate": EvaluateSettings(split="test", resamples=1), "train": settings})
    accuracy = evaluate_model(recipe, trained, embedded.dataset_dir, once, folder / "detections.json").accuracy
    return {
        "AP test": accuracy.numbers.ap or 0.0,
        "AP val": record.best_val_ap or 0.0,
        "iterations": record.iterations,
        "training, s": record.seconds,
        "images/s": record.images_per_second,
        "memory, MiB": record.peak_memory_bytes / 2**20,
        "precision": record.precision,
    }


def main() -> None:
    """Train one student."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_proof.training", description=__doc__)
    parser.add_argument("student")
    parser.add_argument("folder", type=Path)
    parser.add_argument("device", choices=["cpu", "cuda"])
    parser.add_argument("--rehearse", action="store_true")
    given = parser.parse_args()
    numbers = train_student(given.student, given.folder, given.device, given.rehearse)
    (given.folder / "result.json").write_text(json.dumps(numbers), encoding="utf-8")


if __name__ == "__main__":
    main()
