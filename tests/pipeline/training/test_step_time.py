"""Steps that are measured before there is any data."""

from pathlib import Path

import torch

from pipeline.recipe_settings import BudgetSettings
from pipeline.recipes import Recipe, build_detector, load_resolved, resolve, write_resolved
from pipeline.recipes.plain_settings import PlainSettings
from pipeline.settings import TrainSettings
from pipeline.training.step_time import random_batch, seconds_of_step
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
    assert 0 < seconds_of_step(twin, None, settings, steps=1) < 60
    assert 0 < seconds_of_step(student, teacher, settings, steps=1) < 60


def test_a_random_batch_is_what_a_loader_gives() -> None:
    batch, again = (random_batch(3, (64, 96), classes=5) for _ in range(2))
    assert [image.shape for image in batch["inputs"]] == [(3, 64, 96)] * 3
    for one, other in zip(batch["inputs"], again["inputs"], strict=True):
        assert torch.equal(one, other)
    for sample in batch["data_samples"]:
        boxes = sample.gt_instances.bboxes
        assert (boxes[:, 2:] >= boxes[:, :2] + 8).all()
        assert sample.gt_instances.labels.max() < 5
