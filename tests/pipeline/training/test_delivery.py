"""A trained student on its way from the work directory to its place."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.checkpoints import classes_entry, load_detector, save_weights
from pipeline.layout import (
    DATASET,
    WORK_DIRS,
    losses_file,
    origin_file,
    recipe_file,
    training_file,
    validation_file,
    weights_file,
)
from pipeline.recipes import Recipe, build_detector, load_resolved
from pipeline.records import DatasetRecord
from pipeline.settings import Params, TeacherSettings, TrainSettings
from pipeline.storage import sha256_of
from pipeline.student import train_twin
from pipeline.teacher import provide_teacher
from pipeline.training_records import TrainingRecord


@pytest.fixture
def project(
    make_recipe: Callable[..., Recipe],
    squares: tuple[DatasetRecord, Path],
    settings: TrainSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Params:
    """A project folder with a prepared data set and resolved recipes, as the stages before training leave it."""
    record, images = squares
    for name in ("twin", "teacher"):
        made = make_recipe(name, **{"train_cfg.max_iters": 2, "train_cfg.val_interval": 2})
        target = tmp_path / recipe_file(made.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(tmp_path / f"{name}.json", target)
        shutil.move(origin_file(tmp_path / f"{name}.json"), origin_file(target))
    shutil.copytree(images, tmp_path / DATASET)
    record.write(tmp_path / DATASET / "dataset.json")
    monkeypatch.chdir(tmp_path)
    return Params.model_validate(
        {
            "data": {},
            "teacher": {"config": "unused.py"},
            "twins": {"twin": {"recipe": "unused.py"}},
            "train": settings,
            "export": {"models": ["twin"]},
            "benchmark": {"backends": ["onnxruntime"]},
        }
    )


def left_of(name: str) -> list[str]:
    return sorted(path.name for path in weights_file(name).parent.parent.iterdir())


def test_a_student_leaves_weights_record_and_curves_and_nothing_else(project: Params) -> None:
    train_twin(project, "twin")
    load_detector(load_resolved(recipe_file("twin")), weights_file("twin"))
    record = TrainingRecord.read(training_file("twin"))
    assert record.iterations == 2
    assert losses_file("twin").read_text().splitlines()[0].startswith("iteration,learning_rate,loss")
    assert len(validation_file("twin").read_text().splitlines()) == 1 + len(record.validation)
    assert left_of("twin") == ["twin"]
    assert not (WORK_DIRS / "twin").exists()


def test_a_teacher_without_a_checkpoint_is_trained(project: Params) -> None:
    provide_teacher(project, "auto")
    load_detector(load_resolved(recipe_file("teacher")), weights_file("teacher"))
    assert TrainingRecord.read(training_file("teacher")).iterations == 2
    assert len(losses_file("teacher").read_text().splitlines()) > 1
    assert validation_file("teacher").read_text().startswith("iteration,ap\n2,")
    assert left_of("teacher") == ["teacher"]
    assert not (WORK_DIRS / "teacher").exists()


def test_a_teacher_that_is_fetched_has_curves_without_points(project: Params) -> None:
    recipe = load_resolved(recipe_file("teacher"))
    save_weights(Path("own.safetensors"), build_detector(recipe).state_dict(), classes_entry(recipe.classes))
    listed = {project.data.name: {"sources": ["own.safetensors"], "sha256": sha256_of(Path("own.safetensors"))}}
    teacher = TeacherSettings(config=Path("unused.py"), checkpoints=listed)
    provide_teacher(project.model_copy(update={"teacher": teacher}), "auto")
    assert not training_file("teacher").exists()
    assert losses_file("teacher").read_text() == "iteration,learning_rate,loss\n"
    assert validation_file("teacher").read_text() == "iteration,ap\n"


def test_a_kill_before_the_weights_are_in_place_trains_nothing_again(
    project: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.training_records.TrainingRecord.write", kill)
        with pytest.raises(KeyboardInterrupt):
            train_twin(project, "twin")
    assert left_of("twin") == []
    monkeypatch.setattr("pipeline.training.job.build_distiller", lambda _: pytest.fail("trains again"))
    train_twin(project, "twin")
    assert left_of("twin") == ["twin"]


def test_a_student_reaches_a_place_on_another_disk(project: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    def within_a_disk(move: Callable[..., None]) -> Callable[..., None]:
        def checked(source: Path, target: Path, *arguments: object, **options: object) -> None:
            if Path(source).absolute().parts[-3:-2] == (WORK_DIRS.name,) and WORK_DIRS.name not in Path(target).parts:
                raise OSError(errno.EXDEV, "Invalid cross-device link", str(source), None, str(target))
            move(source, target, *arguments, **options)

        return checked

    for name in ("rename", "replace"):
        monkeypatch.setattr(os, name, within_a_disk(getattr(os, name)))
    train_twin(project, "twin")
    assert load_detector(load_resolved(recipe_file("twin")), weights_file("twin"))
    assert not (WORK_DIRS / "twin").exists()
