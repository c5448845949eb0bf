"""Training jobs: what comes out, what a kill leaves behind, and what starts clean."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from mmcv.cnn.utils.fuse_conv_bn import fuse_conv_bn

from pipeline.checkpoints import load_detector, load_weights
from pipeline.errors import TrainingError
from pipeline.recipes import Recipe, build_detector
from pipeline.records import DatasetRecord
from pipeline.settings import TrainSettings
from pipeline.training import TrainingJob, train
from pipeline.training.hooks import RESUME_FILE
from pipeline.training.job import build_distiller

CROSSKD = "crosskd_gfl_mobilenetv2_r18w16_embedded.py"
Squares = tuple[DatasetRecord, Path]
RecipeMaker = Callable[..., Recipe]


@pytest.fixture
def in_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    return tmp_path


def job(recipe: Recipe, squares: Squares, settings: TrainSettings, **more: object) -> TrainingJob:
    return TrainingJob(recipe, *squares, settings, **more)  # type: ignore[arg-type]


def with_teacher(make_recipe: RecipeMaker, folder: Path, squares: Squares, settings: TrainSettings) -> TrainingJob:
    """A CrossKD job whose teacher is a wider student with random weights."""
    recipe = make_recipe("teacher", **{"model.backbone.base_channels": 8, "model.neck.in_channels": [16, 32, 64]})
    teacher = build_detector(recipe)
    teacher.init_weights()
    weights = folder / "teacher.safetensors"
    weights.write_bytes(b"stands for the file in the fingerprint")
    student = make_recipe("student", CROSSKD, **{"distillation.methods.0.adapter": False})
    return job(student, squares, settings, teacher=(teacher.eval(), weights))


def test_trains_and_writes_the_student_alone(
    make_recipe: RecipeMaker, in_scratch: Path, squares: Squares, settings: TrainSettings
) -> None:
    distillation = with_teacher(make_recipe, in_scratch, squares, settings)
    teacher = distillation.teacher[0]  # type: ignore[index]
    before = fuse_conv_bn(deepcopy(teacher)).state_dict()
    weights = in_scratch / "student.safetensors"
    record = train(distillation, weights)
    load_detector(distillation.recipe, weights)
    for name, value in teacher.state_dict().items():
        assert torch.equal(before[name], value), name
    assert record.iterations == 6
    assert record.batch_size == 2
    assert record.resumed == 0
    assert [point.iteration for point in record.points] == [1, 2, 3, 4, 5, 6]
    assert [point.iteration for point in record.validation] == [3, 6]
    assert record.best_iteration in (3, 6)
    assert {"loss_cls_kd", "loss_reg_kd", "loss_cls", "loss"} <= record.points[0].losses.keys()
    assert all(point.losses["loss_cls_kd"] > 0 for point in record.points)


def test_twin_and_student_start_equal_and_see_the_same_data(
    make_recipe: RecipeMaker, in_scratch: Path, squares: Squares, settings: TrainSettings
) -> None:
    distillation = with_teacher(make_recipe, in_scratch, squares, settings)
    alone = job(make_recipe("twin"), squares, settings)
    student, twin = build_distiller(distillation).student, build_distiller(alone).student
    for (name, mine), (_, other) in zip(student.state_dict().items(), twin.state_dict().items(), strict=True):
        assert torch.equal(mine, other), name
    records = [train(each, in_scratch / f"{each.recipe.name}.safetensors") for each in (distillation, alone)]
    # The detection loss of the first step is computed on the same weights and, if the data agree, the same batch.
    first = [record.points[0].losses["loss_bbox"] for record in records]
    assert first[0] == pytest.approx(first[1], rel=1e-6)


def test_resumes_after_an_interruption_and_ends_with_the_same_weights(
    make_recipe: RecipeMaker,
    in_scratch: Path,
    squares: Squares,
    settings: TrainSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    straight = job(make_recipe("straight"), squares, settings)
    train(straight, in_scratch / "straight.safetensors")
    broken = job(make_recipe("broken"), squares, settings)
    monkeypatch.setattr("pipeline.distillers.distiller.Distiller.iteration", _FailAt(5), raising=False)
    with pytest.raises(KeyboardInterrupt):
        train(broken, in_scratch / "broken.safetensors")
    monkeypatch.undo()
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", in_scratch / "work_dirs")
    assert not (in_scratch / "broken.safetensors").exists()
    record = train(broken, in_scratch / "broken.safetensors")
    assert record.resumed == 1
    assert [point.iteration for point in record.points] == [1, 2, 3, 4, 5, 6]
    wanted, _ = load_weights(in_scratch / "straight.safetensors")
    got, _ = load_weights(in_scratch / "broken.safetensors")
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6)


class _FailAt:
    """A counter attribute that interrupts when it reaches a value."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.values: dict[int, int] = {}

    def __get__(self, instance: object, owner: type) -> int:
        return self.values.get(id(instance), 0)

    def __set__(self, instance: object, value: int) -> None:
        if value >= self.limit:
            raise KeyboardInterrupt
        self.values[id(instance)] = value


def test_changed_parameters_start_clean(
    make_recipe: RecipeMaker,
    in_scratch: Path,
    squares: Squares,
    settings: TrainSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    first = job(make_recipe("model"), squares, settings)
    train(first, in_scratch / "model.safetensors")
    other = job(first.recipe, squares, settings.model_copy(update={"seed": 1}))
    record = train(other, in_scratch / "model.safetensors")
    assert record.resumed == 0
    assert "starting clean, changed since the last run: settings" in caplog.text


def test_a_loss_that_is_not_finite_names_terms_iteration_and_images(
    make_recipe: RecipeMaker, in_scratch: Path, squares: Squares, settings: TrainSettings
) -> None:
    recipe = make_recipe("model", **{"optim_wrapper.optimizer.lr": 1e30, "optim_wrapper.clip_grad.max_norm": 1e30})
    with pytest.raises(TrainingError, match=r"iteration \d+: the loss is not finite: .*loss_cls = .*\.png"):
        train(job(recipe, squares, settings), in_scratch / "model.safetensors")
    assert not (in_scratch / "model.safetensors").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")
def test_goes_on_after_kill_minus_9(
    make_recipe: RecipeMaker, in_scratch: Path, squares: Squares, settings: TrainSettings
) -> None:
    recipe = make_recipe("killed", **{"train_cfg.max_iters": 40, "train_cfg.val_interval": 20})
    script = in_scratch / "run.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "from pipeline.recipes import load_resolved\n"
        "import pipeline.training.job as jobs\n"
        "from pipeline.records import DatasetRecord\n"
        "from pipeline.settings import TrainSettings\n"
        "root = Path(sys.argv[1])\n"
        "jobs.WORK_DIRS = root / 'work_dirs'\n"
        "dataset = DatasetRecord.model_validate_json((root / 'dataset.json').read_text())\n"
        "settings = TrainSettings.model_validate_json((root / 'settings.json').read_text())\n"
        "job = jobs.TrainingJob(load_resolved(root / 'killed.json'), dataset, Path(sys.argv[2]), settings)\n"
        "jobs.train(job, root / 'killed.safetensors')\n"
    )
    squares[0].write(in_scratch / "dataset.json")
    (in_scratch / "settings.json").write_text(settings.model_dump_json())
    work_dir = in_scratch / "work_dirs" / "killed"
    process = subprocess.Popen(
        [sys.executable, script, in_scratch, squares[1]],
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        stderr=(in_scratch / "stderr").open("w"),
    )
    deadline = time.monotonic() + 120
    while not (work_dir / RESUME_FILE).exists():
        assert process.poll() is None, (in_scratch / "stderr").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    reached = [
        json.loads(line)["iteration"]
        for line in (work_dir / "log.jsonl").read_text().splitlines()
        if line.endswith("}")
    ]
    assert max(reached) < 40
    content = json.loads((in_scratch / "killed.json").read_text())
    assert content["config"]["train_cfg"]["max_iters"] == 40
    resumed = TrainingJob(recipe, *squares, settings)
    record = train(resumed, in_scratch / "killed.safetensors")
    assert record.resumed == 1
    assert [point.iteration for point in record.points] == list(range(1, 41))
    load_detector(recipe, in_scratch / "killed.safetensors")
