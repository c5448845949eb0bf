"""What the trainings of a choice will take: how many steps of which recipe, and how long."""

from pathlib import Path

import pytest

from pipeline.choice.expected_time import ExpectedTraining, by_stage, expected_trainings
from pipeline.choice.params_file import switched
from pipeline.choice.recipes import Budget, Wishes, read_choice
from pipeline.dataset_settings import DataSettings
from pipeline.settings import PARAMS_FILE, Params, parse_params
from pipeline.strict_yaml import read_yaml
from pipeline.training.step_time import StepTime
from tests.minimal_dataset import minimal_dataset

EMBEDDED = Path("configs/students/crosskd_gfl_mobilenetv2_r18w16_embedded.py")


def params(data: str, wishes: Wishes) -> Params:
    choice = read_choice([EMBEDDED], DataSettings(name=data), wishes)
    return parse_params(read_yaml(switched(PARAMS_FILE.read_text(), choice, "params.yaml")))


def test_every_model_that_is_trained_is_expected_and_a_fetched_teacher_is_not(tmp_path: Path) -> None:
    budget = Budget(epochs=3, batch_size=2)
    digits = params("digits", Wishes(size=(64, 64), budget=budget, teacher_budget=budget))
    found = expected_trainings(digits, minimal_dataset("a", "b", images=7), tmp_path / "digits")
    assert [one.model for one in found] == ["twin", "crosskd"]
    assert {(one.iterations, one.epochs, one.batch_size, one.input_size) for one in found} == {(12, 3.0, 2, (64, 64))}
    # The recipe's 0.006 is for eight images a step: the root of a quarter of it.
    assert {one.optimizer for one in found} == {"AdamW at 0.003"}
    assert set(by_stage(found, digits)) == {"train@twin", "distill@crosskd"}
    trees = params("trees", Wishes(size=(64, 64), teacher_budget=Budget(batch_size=2)))
    assert trees.checkpoint() is None


def test_the_range_is_of_the_steps_alone_and_of_what_comes_beside() -> None:
    training = ExpectedTraining("twin", 100, 1.0, 8, (64, 64), "SGD at 0.01", StepTime(wall=2.0, computing=1.5))
    assert (training.least_seconds, training.most_seconds) == (150.0, pytest.approx(240.0))
    # A thread's own time can be a little more than the clock's.
    rounded = ExpectedTraining("twin", 100, 1.0, 8, (64, 64), "SGD at 0.01", StepTime(wall=2.0, computing=2.01))
    assert rounded.least_seconds == 200.0
