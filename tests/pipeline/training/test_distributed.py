"""Two processes on the CPU (gloo): one training, shared by both, and one result."""

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.checkpoints import load_detector, load_weights, save_weights
from pipeline.errors import TrainingError
from pipeline.evaluation import evaluate_detections
from pipeline.launcher import launch
from pipeline.layout import (
    DATASET,
    DATASET_RECORD,
    MODELS,
    TEACHER,
    TRACKING,
    accepted_file,
    losses_file,
    recipe_file,
    training_file,
    weights_file,
)
from pipeline.recipes import Recipe, build_detector, load_resolved
from pipeline.records import DatasetRecord
from pipeline.settings import Params
from pipeline.storage import sha256_of
from pipeline.training import TrainingJob, train
from pipeline.training_records import EarlyStop, TrainingRecord
from tests.pipeline.training.ranks import train_in_two, true_boxes
from tests.pipeline.training.zoo import RTMDET, shrunk

Squares = tuple[DatasetRecord, Path]
RecipesIn = Callable[[Path], Callable[..., Recipe]]
CROSSKD = "crosskd_gfl_mobilenetv2_r18w16_embedded.py"

# Adapters and assistants whose losses end half-way, averaged weights, a learning rate that changes in each iteration.
EVERYTHING = """
custom_hooks = [dict(type='EMAHook', momentum=0.2)]
distillation = dict(
    methods=[dict(type='CrossKD', reused_head_index=1, adapter=True), dict(type='CSKD', branch_adapt=True)],
    schedule=dict(decay_begin=2, decay_end=4),
)
optim_wrapper = dict(optimizer=dict(lr=0.01))
param_scheduler = [dict(type='LinearLR', start_factor=0.5, by_epoch=False, begin=0, end=6)]
"""
# What makes two processes with batches of 2 compute what one does with batches of 4: no random augmentation, fixed
# statistics of the batch norms, scores high enough that GFL's box normaliser (their sum) is not clamped to 1 in each
# process, and next to no distillation: CrossKD standardises features over the images of a process, as published, and
# so does not compute the same for two.
EVEN = """
custom_hooks = []
distillation = dict(
    methods=[dict(type='CrossKD', cls_weight=1e-4, reg_weight=0, reused_head_index=1)], schedule=dict(_delete_=True)
)
optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.002, weight_decay=0.0))
auto_scale_lr = dict(enable=True, base_batch_size=8)
param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
_cls = dict(type='Normal', name='gfl_cls', std=0.01, bias_prob=0.5)
model = dict(
    backbone=dict(norm_eval=True),
    bbox_head=dict(init_cfg=dict(type='Normal', layer='Conv2d', std=0.01, override=_cls)),
)
train_dataloader = dict(dataset=dict(pipeline=[
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True),
    dict(type='Resize', scale=(64, 64), keep_ratio=True), dict(type='PackDetInputs'),
]))
"""


@pytest.fixture(scope="module")
def project(squares: Squares, recipes_in: RecipesIn, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with data, teacher and recipes, in which two processes have trained all students."""
    root = tmp_path_factory.mktemp("two")
    shutil.copytree(squares[1], root / DATASET)
    squares[0].write(root / DATASET_RECORD)
    make = recipes_in((root / recipe_file("any")).parent)
    teacher = make(TEACHER, **{"model.backbone.base_channels": 16, "model.neck.in_channels": [32, 64, 128]})
    torch.manual_seed(0)
    detector = build_detector(teacher)
    detector.init_weights()
    save_weights(root / weights_file(TEACHER), detector.state_dict(), {})
    everything, even = (inheriting(root, name, text) for name, text in (("all", EVERYTHING), ("even", EVEN)))
    for name, file in (("student", everything), ("broken", everything), ("even", even), ("spoiled", even)):
        make(name, file)
    (root / accepted_file(TEACHER)).write_text(sha256_of(root / weights_file(TEACHER)))
    make("epochs", even)
    curve = [{"type": "CosineAnnealingLR", "by_epoch": False, "begin": 0, "end": 20, "T_max": 20, "eta_min": 0.0}]
    make("stopping", **{"train_cfg.max_iters": 20, "train_cfg.val_interval": 2}, param_scheduler=curve)
    # The backbone's last stage is run, and nobody takes what it gives.
    skipped = {
        "model.backbone.out_indices": (0, 1, 2),
        "model.neck.in_channels": [8, 16, 32],
        "model.bbox_head.anchor_generator.strides": [4, 8, 16, 32, 64],
    }
    make("waiting", **skipped)
    make("finding", inheriting(root, "finding", "find_unused_parameters = True"), **skipped)
    count_epochs(root / recipe_file("epochs"))
    resizing = {"type": "BatchSyncRandomResize", "random_size_range": (32, 96), "interval": 2}
    for name in ("zoo", "zoo_broken"):
        folder = (root / recipe_file(name)).parent
        changes = RTMDET | {"model.data_preprocessor.batch_augments": [resizing]}
        shrunk(folder, "rtmdet/rtmdet_tiny_8xb32-300e_coco.py", squares[0], changes, name)
    launch(params().train, train_in_two, root, params())
    return root


def count_epochs(resolved: Path) -> None:
    """Let a resolved recipe count epochs, with mmdet's samplers for that."""
    content = json.loads(resolved.read_text())
    config = content["config"]
    config["train_cfg"] = {"max_epochs": 2, "val_interval": 1}
    config["train_dataloader"]["sampler"] = {"type": "DefaultSampler", "shuffle": True}
    config["train_dataloader"]["batch_sampler"] = {"type": "AspectRatioBatchSampler"}
    resolved.write_text(json.dumps(content))


def inheriting(root: Path, name: str, text: str) -> str:
    path = root / f"{name}.py"
    path.write_text(f"_base_ = [{str(Path('configs/students').resolve() / CROSSKD)!r}]\n{text}")
    return str(path)


def params() -> Params:
    train = {"device": "cpu", "precision": "fp32", "workers": 0, "checkpoint_interval": 2, "log_interval": 1}
    train["trackers"] = ["tensorboard"]
    return Params.model_validate(
        {
            "data": {},
            "teacher": {"config": "unused.py"},
            "students": {"student": {"recipe": "unused.py"}},
            "train": {**train, "launcher": "pytorch", "processes": 2},
            "export": {"models": ["student"]},
            "benchmark": {"backends": ["onnxruntime"]},
        }
    )


def reports(project: Path) -> list[dict[str, Any]]:
    return [json.loads((project / f"report.{rank}.json").read_text()) for rank in (0, 1)]


def states(project: Path, name: str) -> list[dict[str, torch.Tensor]]:
    return [torch.load(project / f"{name}.{rank}.pth", weights_only=True) for rank in (0, 1)]


def test_one_student_comes_out(project: Path) -> None:
    weights = project / weights_file("student")
    load_detector(load_resolved(project / recipe_file("student")), weights)
    record = TrainingRecord.read(project / training_file("student"))
    assert (record.processes, record.batch_size, record.resumed) == (2, 4, 0)
    assert [point.iteration for point in record.points] == [1, 2, 3, 4, 5, 6]
    assert [point.iteration for point in record.validation] == [3, 6]
    assert len((project / losses_file("student")).read_text().splitlines()) == 7
    assert sorted(path.name for path in (project / MODELS).iterdir()) == ["student", TEACHER, "teacher.accepted"]
    assert not (project / "work_dirs" / "student").exists()


def test_the_first_process_alone_tracks(project: Path) -> None:
    assert len([*(project / TRACKING / "tensorboard").glob("student-*/events.*")]) == 1


def test_the_distillation_acts_until_its_schedule_ends(project: Path) -> None:
    points = TrainingRecord.read(project / training_file("student")).points
    for name in ("loss_cls_kd", "loss_reg_kd", "loss_neck_kd", "loss_assist_cls_kd"):
        assert all(point.losses[name] > 0 for point in points[:3]), name
        assert not any(name in point.losses for point in points[3:]), name


def test_every_trainable_parameter_gets_a_gradient_in_every_step(project: Path) -> None:
    for report in reports(project):
        assert report["unused"] is False
        assert len(report["missing"]) == 6
        assert all(missing == 0 and count > 0 for missing, count in report["missing"])


def test_only_the_student_and_its_adapters_are_trained(project: Path) -> None:
    for report in reports(project):
        assert {name.split(".")[0] for name in report["parameters"]} == {"student", "methods"}


@pytest.mark.parametrize("name", ["student", "broken", "even", "epochs", "zoo", "zoo_broken"])
def test_both_processes_end_with_equal_weights(project: Path, name: str) -> None:
    first, second = states(project, name)
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def test_an_interrupted_training_ends_as_an_uninterrupted_one(project: Path) -> None:
    assert [report["resumed"] for report in reports(project)] == [1, None]
    # Adapters no longer matter once their loss has ended.
    straight, resumed = states(project, "student")[0], states(project, "broken")[0]
    for key, value in straight.items():
        torch.testing.assert_close(resumed[key], value, rtol=1e-5, atol=1e-6)
    wanted, _ = load_weights(project / weights_file("student"))
    got, _ = load_weights(project / "broken.safetensors")
    for key, value in wanted.items():
        torch.testing.assert_close(got[key], value, rtol=1e-5, atol=1e-6)


def test_rtmdet_goes_on_with_the_images_and_sizes_that_it_would_have_had(project: Path) -> None:
    straight, resumed = states(project, "zoo")[0], states(project, "zoo_broken")[0]
    for key, value in straight.items():
        torch.testing.assert_close(resumed[key], value, rtol=1e-5, atol=1e-6)


def test_two_processes_compute_what_one_does_with_twice_the_batch(
    project: Path,
    squares: Squares,
    recipes_in: RecipesIn,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make = recipes_in(project)
    recipe = make("alone", str(project / "even.py"), **{"train_dataloader.batch_size": 4})
    monkeypatch.setattr("pipeline.training.job.WORK_DIRS", project / "alone")
    weights = project / weights_file(TEACHER)
    teacher = load_detector(load_resolved(project / recipe_file(TEACHER)), weights)
    settings = params().train.model_copy(update={"launcher": "none", "processes": None})
    record = train(TrainingJob(recipe, *squares, settings, (teacher, weights)), project / "alone.safetensors")
    assert record is not None
    shared = TrainingRecord.model_validate(reports(project)[0]["even"])
    assert (record.batch_size, record.processes) == (4, 1)
    assert (shared.batch_size, shared.processes) == (4, 2)
    for one, two in zip(record.points, shared.points, strict=True):
        assert one.learning_rate == two.learning_rate == pytest.approx(0.002 * 4 / 8)
        # Close, because the normaliser is that of all processes.
        distilled, shared_distilled = one.losses.pop("loss_cls_kd"), two.losses.pop("loss_cls_kd")
        assert distilled == pytest.approx(shared_distilled, rel=1e-2)
        assert one.losses == pytest.approx(two.losses, rel=1e-4)
    wanted, _ = load_weights(project / "alone.safetensors")
    got, _ = load_weights(project / "even.safetensors")
    start = build_detector(recipe).state_dict()
    assert any(not torch.equal(wanted[key], start[key]) for key in wanted)
    for key, value in wanted.items():
        torch.testing.assert_close(got[key], value, rtol=1e-4, atol=1e-6)


def test_an_epoch_is_shared_out(project: Path) -> None:
    # 12 images, two processes, batches of 2.
    record = TrainingRecord.model_validate(reports(project)[0]["epochs"])
    assert (record.iterations, record.batch_size) == (6, 4)
    assert [point.iteration for point in record.validation] == [3, 6]


def test_both_processes_take_the_learning_rate_down_and_end_together(project: Path) -> None:
    first, second = reports(project)
    record = TrainingRecord.model_validate(first["stopped"])
    assert (record.iterations, record.planned_iterations) == (8, 20)
    assert record.stopped == EarlyStop(patience=2, min_delta=100, iteration=6)
    assert second["stopped"] is None
    # The rate of the last of the twenty that were planned.
    assert first["ended"] == second["ended"] == [8, pytest.approx(0.006 * (1 + math.cos(math.pi * 19 / 20)) / 2)]


def test_the_metric_counts_each_image_once(project: Path) -> None:
    annotations = project / DATASET / "val.json"
    found = list(true_boxes(annotations).values())
    wanted, twice = (
        evaluate_detections(annotations, detections, "val", None).numbers.ap
        for detections in (found, [*found, found[0]])
    )
    assert [report["metric"] for report in reports(project)] == [wanted, wanted]
    assert wanted != twice


def test_a_parameter_that_takes_no_part_is_told_with_the_key_that_allows_it(project: Path) -> None:
    for report in reports(project):
        assert report["waiting"].startswith(f"{TrainingError.__name__}: ")
        assert re.search(r"takes no part in its losses.*find_unused_parameters = True", report["waiting"])
    assert not (project / "waiting.safetensors").exists()
    load_detector(load_resolved(project / recipe_file("finding")), project / "finding.safetensors")


def test_a_loss_that_is_not_finite_in_one_process_ends_both_with_its_message(project: Path) -> None:
    first, second = (report["spoiled"] for report in reports(project))
    assert first == second
    assert first.startswith(f"{TrainingError.__name__}: iteration 2: the loss is not finite: ")
    assert "loss_cls = nan" in first
    assert first.count("iteration 2") == 1
    assert not (project / "spoiled.safetensors").exists()
