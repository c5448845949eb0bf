from pathlib import Path

import pytest

from pipeline.checkpoints import check_accepted
from pipeline.errors import CheckpointError, SettingsError
from pipeline.layout import TEACHER, accepted_file, weights_file
from pipeline.settings import PARAMS_FILE, load_params
from pipeline.storage import sha256_of, write_atomic
from pipeline.student import distil_student, train_twin

PARAMS = load_params(PARAMS_FILE)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_atomic(weights_file(TEACHER), b"weights")
    write_atomic(accepted_file(TEACHER), sha256_of(weights_file(TEACHER)) + "\n")
    return tmp_path


def test_the_teacher_that_passed_its_evaluation_is_taken(project: Path) -> None:
    check_accepted()


@pytest.mark.parametrize("weights", [b"not accepted", None])
def test_a_teacher_that_was_not_accepted_is_refused(project: Path, weights: bytes | None) -> None:
    weights_file(TEACHER).unlink()
    if weights:
        write_atomic(weights_file(TEACHER), weights)
    with pytest.raises(CheckpointError, match="dvc repro evaluate_teacher"):
        distil_student(PARAMS, "crosskd")


def test_a_teacher_that_was_never_evaluated_is_refused(project: Path) -> None:
    accepted_file(TEACHER).unlink()
    with pytest.raises(CheckpointError, match=r"not the teacher that models/teacher\.accepted names"):
        distil_student(PARAMS, "crosskd")


def test_a_name_of_the_other_section_or_of_none_is_told() -> None:
    with pytest.raises(SettingsError, match=r"twins has no 'crosskd'; known: twin"):
        train_twin(PARAMS, "crosskd")
    with pytest.raises(SettingsError, match=r"students has no 'croskd'; did you mean 'crosskd'"):
        distil_student(PARAMS, "croskd")
    with pytest.raises(SettingsError, match=r"twins has no 'twin'; it is empty"):
        train_twin(PARAMS.model_copy(update={"twins": {}}), "twin")
