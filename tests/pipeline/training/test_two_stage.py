"""A Faster R-CNN student in a training job of its own."""

from pathlib import Path

import pytest

from pipeline.checkpoints import load_detector
from pipeline.recipes import Recipe, load_resolved, resolve, write_resolved
from pipeline.records import DatasetRecord
from pipeline.settings import TrainSettings
from pipeline.training import TrainingJob, train
from tests.pipeline.distillers.faster_rcnn import config, make_faster

Squares = tuple[DatasetRecord, Path]


@pytest.fixture
def recipe(squares: Squares, tmp_path: Path) -> Recipe:
    """The embedded schedule and data with a Faster R-CNN and CSKD."""
    bases = [str(Path(f"configs/_base_/{name}.py").resolve()) for name in ("data_embedded", "schedule_adamw_cosine")]
    path = tmp_path / "faster.py"
    path.write_text(
        f"_base_ = {bases}\n"
        f"model = {config().to_dict()}\n"
        "input_size = (64, 64)\n"
        "train_dataloader = dict(batch_size=2)\n"
        "train_cfg = dict(max_iters=4, val_interval=2)\n"
        "param_scheduler = []\n"
        "distillation = dict(methods=[dict(type='CSKD')])\n"
    )
    scale = {
        "train_dataloader.dataset.pipeline.2.scale": (64, 64),
        "val_dataloader.dataset.pipeline.1.scale": (64, 64),
    }
    target = tmp_path / "student.json"
    write_resolved(target, resolve(path, squares[0], scale))
    return load_resolved(target)


def test_it_is_distilled_and_ships_alone(
    recipe: Recipe, squares: Squares, settings: TrainSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    teacher_file = tmp_path / "teacher.safetensors"
    teacher_file.write_bytes(b"stands for the file in the fingerprint")
    teacher = make_faster(width=32, hidden=48, num_classes=2).eval()
    job = TrainingJob(recipe, *squares, settings, teacher=(teacher, teacher_file))
    record = train(job, tmp_path / "student.safetensors")
    assert record.iterations == 4
    assert {"loss_rpn_cls", "loss_bbox", "loss_neck_kd", "loss_hidden_kd", "loss"} <= record.points[0].losses.keys()
    assert "acc" not in record.points[0].losses
    load_detector(recipe, tmp_path / "student.safetensors")
