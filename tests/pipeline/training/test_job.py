"""Training jobs: what comes out, what a kill leaves behind, and what starts clean."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.checkpoints import classes_entry, load_detector, load_weights, save_weights
from pipeline.detectors.batch_norm import fold_batch_norm
from pipeline.errors import RecipeError, TrainingError
from pipeline.recipes import Recipe, build_detector
from pipeline.records import DatasetRecord
from pipeline.setting_types import WeightsFile
from pipeline.settings import TrainSettings
from pipeline.storage import sha256_of
from pipeline.training import TrainingJob, train
from pipeline.training.fingerprint import discard
from pipeline.training.hooks import BEST_FILE, RESUME_FILE
from pipeline.training.job import build_distiller
from pipeline.training_records import SeenImages, TrainingRecord
from tests.pipeline.training.interruption import FailAt

CROSSKD = "crosskd_gfl_mobilenetv2_r18w16_embedded.py"
Squares = tuple[DatasetRecord, Path]
RecipeMaker = Callable[..., Recipe]
RecipesIn = Callable[[Path], RecipeMaker]


@pytest.fixture
def in_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", tmp_path / "work_dirs")
    return tmp_path


def job(recipe: Recipe, squares: Squares, settings: TrainSettings, **more: object) -> TrainingJob:
    return TrainingJob(recipe, *squares, settings, **more)  # type: ignore[arg-type]


def with_teacher(make_recipe: RecipeMaker, folder: Path, squares: Squares, settings: TrainSettings) -> TrainingJob:
    """A CrossKD job whose teacher is a wider student with random weights."""
    recipe = make_recipe("teacher", **{"model.backbone.base_channels": 16, "model.neck.in_channels": [32, 64, 128]})
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
    before = fold_batch_norm(deepcopy(teacher)).state_dict()
    weights = in_scratch / "student.safetensors"
    record = train(distillation, weights)
    load_detector(distillation.recipe, weights)
    for name, value in teacher.state_dict().items():
        assert torch.equal(before[name], value), name
    assert record.iterations == 6
    assert record.batch_size == 2
    assert record.images == SeenImages(seen=12, images=12, left_out={})
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
    student, twin = build_distiller(distillation)[0].student, build_distiller(alone)[0].student
    for (name, value), alone_value in zip(student.state_dict().items(), twin.state_dict().values(), strict=True):
        assert torch.equal(value, alone_value), name
    records = [train(each, in_scratch / f"{each.recipe.name}.safetensors") for each in (distillation, alone)]
    # The detection loss of the first step is computed on the same weights and, if the data agree, the same batch.
    first = [record.points[0].losses["loss_bbox"] for record in records]
    assert first[0] == pytest.approx(first[1], rel=1e-6)


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A twin's recipe file with averaged weights and a learning rate that changes in every iteration."""
    base = Path("configs/students/twin_gfl_r18w16_embedded.py").resolve()
    path = tmp_path_factory.mktemp("recipe") / "averaged.py"
    path.write_text(
        f"_base_ = [{str(base)!r}]\n"
        "optim_wrapper = dict(optimizer=dict(lr=0.01))\n"
        "param_scheduler = [dict(type='LinearLR', start_factor=0.5, by_epoch=False, begin=0, end=6)]\n"
        "custom_hooks = [dict(type='EMAHook', momentum=0.2)]\n"
    )
    return str(path)


@pytest.fixture(scope="module")
def straight(
    recipes_in: RecipesIn,
    squares: Squares,
    settings: TrainSettings,
    averaged: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[TrainingRecord, Path]:
    """Record and weights of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("straight")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.training.job.WORK_DIRS", folder / "work_dirs")
        record = train(
            job(recipes_in(folder)("straight", averaged), squares, settings), folder / "straight.safetensors"
        )
    assert record is not None
    return record, folder / "straight.safetensors"


# Checkpoints are written after iterations 2 and 4, and after each validation: 3 and 6.
@pytest.mark.parametrize("stopped_in", [3, 4, 5, 6])
def test_resumes_after_an_interruption_and_ends_with_the_same_weights(
    make_recipe: RecipeMaker,
    in_scratch: Path,
    squares: Squares,
    settings: TrainSettings,
    monkeypatch: pytest.MonkeyPatch,
    averaged: str,
    straight: tuple[TrainingRecord, Path],
    stopped_in: int,
) -> None:
    broken = job(make_recipe("broken", averaged), squares, settings)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.distillers.distiller.Distiller.iteration", FailAt(stopped_in), raising=False)
        with pytest.raises(KeyboardInterrupt):
            train(broken, in_scratch / "broken.safetensors")
    assert not (in_scratch / "broken.safetensors").exists()
    record = train(broken, in_scratch / "broken.safetensors")
    assert record.resumed == 1
    rates = [(point.iteration, point.learning_rate) for point in record.points]
    assert rates == [(point.iteration, point.learning_rate) for point in straight[0].points]
    assert [rate for _, rate in rates] == pytest.approx([0.005, 0.006, 0.007, 0.008, 0.009, 0.01])
    wanted, _ = load_weights(straight[1])
    got, _ = load_weights(in_scratch / "broken.safetensors")
    for name, value in wanted.items():
        torch.testing.assert_close(got[name], value, rtol=1e-5, atol=1e-6)


def test_the_kept_weights_are_the_averaged_ones_that_were_validated(
    make_recipe: RecipeMaker, in_scratch: Path, squares: Squares, settings: TrainSettings, averaged: str
) -> None:
    recipe = make_recipe("averaged", averaged, **{"train_cfg.max_iters": 2, "train_cfg.val_interval": 2})
    averages = job(recipe, squares, settings)
    train(averages, in_scratch / "averaged.safetensors")
    got, _ = load_weights(in_scratch / "averaged.safetensors")
    checkpoint = torch.load(averages.work_dir / RESUME_FILE, weights_only=True)
    for name, last in checkpoint["ema_state_dict"].items():
        key = name.removeprefix("module.student.")
        if key in got and last.is_floating_point():
            torch.testing.assert_close(got[key], checkpoint["state_dict"][f"student.{key}"])
    moved = [name for name in got if name.endswith("conv.weight")]
    trained = {name: checkpoint["ema_state_dict"][f"module.student.{name}"] for name in moved}
    assert moved
    assert not any(torch.equal(got[name], trained[name]) for name in moved)


@pytest.fixture(scope="module")
def trained_once(
    recipes_in: RecipesIn, squares: Squares, settings: TrainSettings, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Recipe, TrainingRecord, Path]:
    """Recipe and record of a finished training, and its folder with work directory and weights."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.training.job.WORK_DIRS", folder / "work_dirs")
        recipe = recipes_in(folder)("model")
        record = train(job(recipe, squares, settings), folder / "first.safetensors")
    assert record is not None
    return recipe, record, folder


@pytest.fixture
def finished(
    trained_once: tuple[Recipe, TrainingRecord, Path], in_scratch: Path, squares: Squares, settings: TrainSettings
) -> tuple[TrainingJob, TrainingRecord]:
    """A training that is finished, with its work directory and its weights, ``first.safetensors``, in the scratch."""
    recipe, record, folder = trained_once
    shutil.copytree(folder, in_scratch, dirs_exist_ok=True)
    return job(recipe, squares, settings), record


def test_a_kill_after_the_last_validation_repeats_nothing(
    finished: tuple[TrainingJob, TrainingRecord], in_scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    same, before = finished
    monkeypatch.setattr("pipeline.training.job.build_distiller", lambda _: pytest.fail("trains again"))
    after = train(same, in_scratch / "second.safetensors")
    assert (in_scratch / "first.safetensors").read_bytes() == (in_scratch / "second.safetensors").read_bytes()
    assert after.model_copy(update={"peak_memory_bytes": before.peak_memory_bytes}) == before


def test_what_it_started_from_is_recorded_also_where_nothing_is_left_to_train(
    make_recipe: RecipeMaker,
    in_scratch: Path,
    squares: Squares,
    settings: TrainSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = in_scratch / "before.safetensors"
    assert train(job(make_recipe("before"), squares, settings), before).init is None
    init = WeightsFile(sources=[str(before)], sha256=sha256_of(before))
    start = job(replace(make_recipe("after"), init=init, classes=["dark", "other"]), squares, settings)
    begun, given = build_distiller(start)[0].student.state_dict(), load_weights(before)[0]
    assert torch.equal(begun["bbox_head.gfl_cls.weight"][0], given["bbox_head.gfl_cls.weight"][1])
    record = train(start, in_scratch / "after.safetensors")
    assert record.init.sha256 == sha256_of(before)
    assert (record.init.classes, record.init.new_classes, record.init.new) == (["dark"], ["other"], [])
    assert record.init.transferred == record.init.tensors - 2
    monkeypatch.setattr("pipeline.training.job.build_distiller", lambda _: pytest.fail("trains again"))
    again = train(start, in_scratch / "again.safetensors")
    assert again.model_copy(update={"peak_memory_bytes": record.peak_memory_bytes}) == record
    again.write(in_scratch / "training.json")
    assert TrainingRecord.read(in_scratch / "training.json") == again


def test_twin_and_student_of_one_init_start_equal(
    make_recipe: RecipeMaker, in_scratch: Path, squares: Squares, settings: TrainSettings
) -> None:
    weights = in_scratch / "any.safetensors"
    save_weights(weights, build_detector(make_recipe("any")).state_dict(), classes_entry(["dark"]))
    init = WeightsFile(sources=[str(weights)], sha256=sha256_of(weights))
    distillation = with_teacher(make_recipe, in_scratch, squares, settings)
    student, twin = (
        build_distiller(replace(one, recipe=replace(one.recipe, init=init)))[0].student.state_dict()
        for one in (distillation, job(make_recipe("twin"), squares, settings))
    )
    assert all(torch.equal(value, twin[name]) for name, value in student.items())


@pytest.mark.parametrize("deleted", [BEST_FILE, RESUME_FILE, "log.jsonl"])
def test_a_work_directory_that_was_half_deleted_is_not_resumed(
    finished: tuple[TrainingJob, TrainingRecord], in_scratch: Path, monkeypatch: pytest.MonkeyPatch, deleted: str
) -> None:
    same, _ = finished

    def killed(folder: Path, **_: object) -> None:
        (folder / deleted).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            discard(same.work_dir)
    record = train(same, in_scratch / "second.safetensors")
    assert record.resumed == 0
    assert [point.iteration for point in record.points] == [1, 2, 3, 4, 5, 6]


def test_a_damaged_checkpoint_starts_clean(
    make_recipe: RecipeMaker,
    in_scratch: Path,
    squares: Squares,
    settings: TrainSettings,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = job(make_recipe("model", **{"train_cfg.max_iters": 3}), squares, settings)
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.distillers.distiller.Distiller.iteration", FailAt(3), raising=False)
        with pytest.raises(KeyboardInterrupt):
            train(broken, in_scratch / "model.safetensors")
    checkpoint = broken.work_dir / RESUME_FILE
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1000])
    record = train(broken, in_scratch / "model.safetensors")
    assert record is not None
    assert record.resumed == 0
    assert [point.iteration for point in record.points] == [1, 2, 3]
    assert f"model: starting clean, {checkpoint} is damaged" in caplog.text


def test_the_cpu_is_used_where_it_is_asked_for_beside_another_device(
    make_recipe: RecipeMaker,
    in_scratch: Path,
    squares: Squares,
    settings: TrainSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What mmengine takes by itself on a machine with an accelerator; nothing can be computed on "meta".
    monkeypatch.setattr("mmengine.runner.runner.get_device", lambda: "meta")
    record = train(job(make_recipe("model"), squares, settings), in_scratch / "model.safetensors")
    assert record.device == "cpu"
    assert record.iterations == 6


@pytest.mark.parametrize("change", [{"seed": 1}, {"channels_last": False}], ids=str)
def test_changed_parameters_start_clean(
    finished: tuple[TrainingJob, TrainingRecord],
    in_scratch: Path,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, int | bool],
) -> None:
    caplog.set_level("INFO")
    first, _ = finished
    other = replace(first, settings=first.settings.model_copy(update=change))
    record = train(other, in_scratch / "model.safetensors")
    assert record.resumed == 0
    assert "starting clean, changed since the last run: settings" in caplog.text


def test_how_often_it_is_saved_and_logged_changes_nothing(
    finished: tuple[TrainingJob, TrainingRecord], in_scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = finished
    monkeypatch.setattr("pipeline.training.job.build_distiller", lambda _: pytest.fail("trains again"))
    others = {"checkpoint_interval": 1, "log_interval": 3, "workers": 1, "trackers": ["tensorboard"]}
    train(replace(first, settings=first.settings.model_copy(update=others)), in_scratch / "model.safetensors")


def test_any_number_of_workers_gives_the_same_weights(
    make_recipe: RecipeMaker, in_scratch: Path, squares: Squares, settings: TrainSettings
) -> None:
    for workers in (0, 2):
        other = job(make_recipe(f"model{workers}"), squares, settings.model_copy(update={"workers": workers}))
        train(other, in_scratch / f"{workers}.safetensors")
    alone, two = (load_weights(in_scratch / f"{workers}.safetensors")[0] for workers in (0, 2))
    assert all(torch.equal(value, two[name]) for name, value in alone.items())


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


def test_weights_that_are_not_fetched_are_an_error(
    make_recipe: RecipeMaker, squares: Squares, settings: TrainSettings, tmp_path: Path
) -> None:
    base = Path("configs/students/twin_gfl_r18w16_embedded.py").resolve()
    pretrained = tmp_path / "pretrained.py"
    init = "dict(type='Pretrained', checkpoint='torchvision://resnet18')"
    pretrained.write_text(f"_base_ = [{str(base)!r}]\nmodel = dict(backbone=dict(init_cfg={init}))\n")
    with pytest.raises(
        RecipeError, match=r"(?s)pretrained\.py asks for .*model\.backbone\.init_cfg = torchvision://resnet18"
    ):
        build_distiller(job(make_recipe("pretrained", str(pretrained)), squares, settings))
    build_distiller(job(make_recipe("plain"), squares, settings))
