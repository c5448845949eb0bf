"""Detectors that no adapter knows, trained to the end: alone and by PKD, validated by mmdet's own ``predict``."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from pipeline.checkpoints import load_detector
from pipeline.recipes import Recipe, build_detector, set_num_classes
from pipeline.records import DatasetRecord
from pipeline.settings import TrainSettings
from pipeline.training import TrainingJob, train
from tests.other_detectors import other_config

Squares = tuple[DatasetRecord, Path]
RecipeMaker = Callable[..., Recipe]


def other_recipe(make_recipe: RecipeMaker, name: str, **more: Any) -> Recipe:
    recipe = make_recipe("student")
    model = other_config(name)
    set_num_classes(model, len(recipe.classes))
    return replace(recipe, config=Config({**recipe.config.to_dict(), "model": model, **more}))


@pytest.mark.parametrize(("name", "teacher", "precision"), [("dino", None, "fp32"), ("cascade", "dino", "bf16")])
def test_it_trains_and_its_weights_load(
    make_recipe: RecipeMaker,
    squares: Squares,
    settings: TrainSettings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    teacher: str | None,
    precision: str,
) -> None:
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    pair, more = {}, {}
    if teacher:
        made = build_detector(other_recipe(make_recipe, teacher))
        made.init_weights()
        (tmp_path / "teacher.safetensors").write_bytes(b"stands for the file in the fingerprint")
        pair["teacher"] = (made.eval(), tmp_path / "teacher.safetensors")
        more["distillation"] = {"methods": [{"type": "PKD", "adapter": True}]}
    recipe = other_recipe(make_recipe, name, **more)
    settings = settings.model_copy(update={"precision": precision, "channels_last": True})
    record = train(TrainingJob(recipe, *squares, settings, **pair), tmp_path / "student.safetensors")
    load_detector(recipe, tmp_path / "student.safetensors")
    assert [point.iteration for point in record.validation] == [3, 6]
    assert all((point.losses.get("loss_feat_kd", 0) > 0) == bool(teacher) for point in record.points)
    assert all("loss" in term for term in record.points[0].losses)
