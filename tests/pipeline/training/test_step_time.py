"""Steps that are measured before there is any data."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.recipe_settings import BudgetSettings
from pipeline.recipes import Recipe, build_detector, load_resolved, resolve, write_resolved
from pipeline.recipes.plain_settings import PlainSettings
from pipeline.settings import TrainSettings
from pipeline.training.step_time import StepTime, random_batch, time_of_step
from tests.minimal_dataset import minimal_dataset


def recipe(path: str, folder: Path) -> Recipe:
    file = folder / f"{Path(path).stem}.json"
    plain = PlainSettings(BudgetSettings(batch_size=2), input_size=(64, 96))
    write_resolved(file, resolve(Path("configs") / path, minimal_dataset("a", "b", "c"), {}, plain))
    return load_resolved(file)


def test_a_student_alone_and_one_with_its_teacher_take_a_step(tmp_path: Path) -> None:
    settings = TrainSettings(device="cpu")
    twin = recipe("students/twin_gfl_r18w16_embedded.py", tmp_path)
    student = recipe("students/crosskd_gfl_mobilenetv2_r18w16_embedded.py", tmp_path)
    teacher = build_detector(recipe("teachers/gfl_mobilenetv2_embedded.py", tmp_path))
    alone, distilled = time_of_step(twin, None, settings), time_of_step(student, teacher, settings)
    for found in (alone, distilled):
        # What a thread computes is never more than the clock says, and nearly all of a step is computing.
        assert 0 < found.computing <= 1.01 * found.wall < 60
    assert distilled.computing > 1.3 * alone.computing


class Clock:
    """A clock that steps over batches move on: seconds on it and computed, for an image."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wall: float, computing: float) -> None:
        self.now, self.computed = 0.0, 0.0
        self.images: list[int] = []
        self.threads: list[int] = []
        self._wall, self._computing = wall, computing
        monkeypatch.setattr("pipeline.training.step_time.time.perf_counter", lambda: self.now)
        monkeypatch.setattr("pipeline.training.step_time.time.thread_time", lambda: self.computed)
        monkeypatch.setattr("pipeline.training.step_time._step_of", lambda *arguments: self.step)

    def step(self, batch: dict[str, Any]) -> None:
        images = len(batch["inputs"])
        self.images.append(images)
        self.threads.append(torch.get_num_threads())
        self.now += self._wall * images
        self.computed += self._computing * images


@pytest.mark.parametrize(
    ("wall", "batches"),
    [
        (0.01, [1, 1] + 10 * [2]),  # nine are enough
        (0.4, [1, 1] + 5 * [2]),  # as many as go into three seconds
        (0.9, [1, 1] + 4 * [2]),  # and three at least
        (1.1, [1, 1] + 3 * [1]),  # a single image stands for two
        (5.1, [1]),  # and the first step for the others
    ],
)
def test_a_long_step_is_measured_less_often_and_on_fewer_images(
    wall: float, batches: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch, wall, wall)
    found = time_of_step(recipe("students/twin_gfl_r18w16_embedded.py", tmp_path), None, TrainSettings(device="cpu"))
    assert clock.images == batches
    assert (found.wall, found.computing) == (pytest.approx(2 * wall), pytest.approx(2 * wall))
    assert not found.is_disturbed


def test_what_threads_compute_waiting_for_each_other_is_not_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    clock, twin = Clock(monkeypatch, wall=0.5, computing=0.2), recipe("students/twin_gfl_r18w16_embedded.py", tmp_path)
    try:
        torch.set_num_threads(4)
        found = time_of_step(twin, None, TrainSettings(device="cpu"))
        assert clock.images == [1, 1, 2, 2, 2, 2, 1]
        assert clock.threads == [4, 4, 4, 4, 4, 4, 1]
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(threads)
    assert (found.wall, found.computing) == (pytest.approx(1.0), pytest.approx(0.1))
    assert found.is_disturbed
    assert not StepTime(wall=0.5, computing=0.48).is_disturbed


def test_a_random_batch_is_what_a_loader_gives() -> None:
    batch, again = (random_batch(3, (64, 96), classes=5) for _ in range(2))
    assert [image.shape for image in batch["inputs"]] == [(3, 64, 96)] * 3
    for one, other in zip(batch["inputs"], again["inputs"], strict=True):
        assert torch.equal(one, other)
    for sample in batch["data_samples"]:
        boxes = sample.gt_instances.bboxes
        assert (boxes[:, 2:] >= boxes[:, :2] + 8).all()
        assert sample.gt_instances.labels.max() < 5
