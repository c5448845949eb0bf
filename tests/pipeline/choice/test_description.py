"""What `make use` says: what was found and chosen and why, how long it takes, and what of a recipe holds."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.choice.description import describe
from pipeline.choice.expected_time import ExpectedTraining
from pipeline.choice.own_data import DataFacts
from pipeline.choice.recipes import Budget, Wishes, read_choice
from pipeline.dataset_settings import ChoosingSplit, DataSettings
from pipeline.datasets.folder_format import detect
from pipeline.training.step_time import StepTime
from tests.pipeline.datasets.yolo_folder import YoloFolder

STUDENTS = Path("configs/students")
OWN = STUDENTS / "crosskd_gfl_n_own.py"
FACTS = DataFacts({"train": 2, "val": 2}, ("big cat", "dog"), 2, np.array([0.3, 0.4]), 40)
TWIN = ExpectedTraining("twin", 1200, 5.0, 2, (64, 96), "AdamW at 0.001", StepTime(0.5, 0.5), threads=2)
TEACHER = replace(TWIN, model="teacher", step=StepTime(1.0, 1.0))


def folder(root: Path) -> DataSettings:
    """One with train and val alone."""
    own = YoloFolder(root)
    del own.config["test"]
    return detect(own.write().root)


def said(
    recipe: Path, found: DataSettings, wishes: Wishes, *trainings: ExpectedTraining, reason: str = ""
) -> list[str]:
    return describe(read_choice([recipe], found, wishes), FACTS, trainings or (TWIN,), "cpu", "n", reason)


@pytest.mark.parametrize(
    ("wish", "reason", "line"),
    [
        (
            "train",
            "",
            "test split: val; a part of train, taken by a seed, chooses weights in its place (CHOOSE_ON=val)",
        ),
        (
            "val",
            "train is small",
            "no test split: val chooses weights and is measured too, which flatters; train is small (CHOOSE_ON=train)",
        ),
    ],
)
def test_one_line_tells_what_chooses(tmp_path: Path, wish: ChoosingSplit, reason: str, line: str) -> None:
    wishes = Wishes(size=(64, 64), budget=Budget(1, 1), choose_on=wish)
    assert line in said(OWN, folder(tmp_path), wishes, reason=reason)


def test_a_dozen_lines_tell_what_was_found_chosen_and_set(tmp_path: Path) -> None:
    own = YoloFolder(tmp_path)
    own.config = {"names": ["big cat", "dog"], "train": "images"}
    found = detect(own.write().root)
    teacher = "configs/teachers/gfl_mobilenetv2_own.py (trained here: no published weights for these classes, from "
    weights = "configs/teachers/gfl_mobilenetv2_digits/weights.safetensors"
    kept = "batch, AdamW at 0.001, schedule, augmentation, losses, thresholds (score 0.05 and NMS 0.6)"
    teachers = "teacher 20 to 24 min (1.00 s a step)"
    students = "students 10 to 12 min: twin 10 to 12 min (0.50 s a step)"
    assert said(OWN, found, Wishes(size=(64, 96), budget=Budget(5, None)), TEACHER, TWIN) == [
        f"data: {tmp_path} (yolo_dir)",
        "val and test: taken from train by a seed (data.yolo_dir.splits in params.yaml)",
        "found: train 2, val 2 images; 2 classes (big cat, dog); 2 boxes in train",
        "boxes: half have a side under 35.0% of their picture's longer one (40 px)",
        "input size: 64x96, where nine boxes of ten are larger than 30 px (SIZE=)",
        f"teacher: {teacher}{weights}) (TEACHER=)",
        "student: n, configs/students/twin_gfl_n_own.py, from ImageNet's mobilenet_v2-b0353104.pth (MODEL=)",
        "by: crosskd (configs/students/crosskd_gfl_n_own.py) (METHODS=)",
        "training: 5 epochs, 1,200 iterations of 2 images (EPOCHS=, BATCH=)",
        f"of the recipe: {kept}; set here: size, epochs",
        f"time: 30 to 36 min of training here (cpu, threads: 2); {teachers}; {students}",
        "next: make repro (or dvc repro); back to the embedded run: git checkout params.yaml",
    ]


def test_a_recipe_that_is_taken_as_it_is_holds_as_a_whole() -> None:
    embedded = STUDENTS / "crosskd_gfl_mobilenetv2_r18w16_embedded.py"
    small = replace(TWIN, input_size=(32, 32), epochs=3.333)
    lines = said(embedded, DataSettings(name="digits"), Wishes(), small)
    assert lines[0] == "data: digits (embedded)"
    assert (
        "input size: 32, as the recipe has it, where nine boxes of ten are larger than 10 px; under 16 px they are "
        "hardly found (SIZE=)" in lines
    )
    assert (
        "teacher: configs/teachers/gfl_mobilenetv2_embedded.py "
        "(configs/teachers/gfl_mobilenetv2_digits/weights.safetensors) (TEACHER=)" in lines
    )
    assert "training: 3.3 epochs, 1,200 iterations of 2 images, as the recipe has it (EPOCHS=, BATCH=)" in lines
    (held,) = (line for line in lines if line.startswith("of the recipe: "))
    assert held.startswith("of the recipe: size, epochs, batch, AdamW at 0.001, schedule")
    assert "set here" not in held


def test_a_teacher_of_its_own_length_has_a_line_of_its_own(tmp_path: Path) -> None:
    lines = said(OWN, folder(tmp_path), Wishes(), replace(TEACHER, iterations=24, epochs=12.0), TWIN)
    assert "training of the teacher: 12 epochs, 24 iterations of 2 images" in lines


def test_times_of_a_busy_machine_are_marked(tmp_path: Path) -> None:
    busy = replace(TWIN, step=StepTime(wall=5.0, computing=0.5))
    lines = said(OWN, folder(tmp_path), Wishes(), busy)
    (time,) = (line for line in lines if line.startswith("time: "))
    assert time.startswith("time: 10 min to 2 h 00 min of training here")
    assert "these times are of a busy machine: a step took up to 10.0 times as long as it would alone" in " ".join(
        lines
    )
