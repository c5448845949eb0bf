"""What the two processes of tests/pipeline/training/test_distributed.py do, one after the other, in one group."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed

import pipeline.training.job as jobs
from pipeline.checkpoints import load_detector
from pipeline.distillers import Distiller
from pipeline.layout import DATASET, DATASET_RECORD, TEACHER, recipe_file, weights_file
from pipeline.recipes import load_resolved
from pipeline.records import DatasetRecord
from pipeline.settings import EarlyStoppingSettings, Params
from pipeline.student import distil_student
from pipeline.training.autocast import AutocastOptimWrapper
from pipeline.training.metric import ValidationMetric
from pipeline.training.runner import DeviceRunner
from tests.pipeline.training.interruption import FailAt


def job(params: Params, name: str) -> jobs.TrainingJob:
    """A job of the project in the current folder, with its teacher."""
    recipe = load_resolved(recipe_file(name))
    weights = weights_file(TEACHER)
    teacher = load_detector(load_resolved(recipe_file(TEACHER)), weights)
    return jobs.TrainingJob(recipe, DatasetRecord.read(DATASET_RECORD), DATASET, params.train, (teacher, weights))


def twin(params: Params, name: str) -> jobs.TrainingJob:
    """A job of the project in the current folder, without a teacher."""
    return jobs.TrainingJob(load_resolved(recipe_file(name)), DatasetRecord.read(DATASET_RECORD), DATASET, params.train)


def train_in_two(project: Path, params: Params) -> None:
    """Train every job of the project; write ``<what>.<rank>.json`` and ``<name>.<rank>.pth`` into it."""
    os.chdir(project)
    rank = torch.distributed.get_rank()
    runner = _watched()
    missing = _gradients_missing_at_each_step()

    distil_student(params, "student")
    model = runner().model
    report: dict[str, Any] = {"missing": missing(), "unused": model.find_unused_parameters}
    report["parameters"] = [name for name, _ in model.module.named_parameters()]
    _keep(model.module.state_dict(), "student", rank)

    Distiller.iteration = FailAt(5)  # type: ignore[assignment]
    try:
        jobs.train(job(params, "broken"), project / "broken.safetensors")
    except KeyboardInterrupt:
        del Distiller.iteration
    resumed = jobs.train(job(params, "broken"), project / "broken.safetensors")
    report["resumed"] = resumed and resumed.resumed
    _keep(runner().model.module.state_dict(), "broken", rank)

    even = jobs.train(job(params, "even"), project / "even.safetensors")
    report["even"] = even and even.model_dump(mode="json")
    _keep(runner().model.module.state_dict(), "even", rank)

    epochs = jobs.train(job(params, "epochs"), project / "epochs.safetensors")
    report["epochs"] = epochs and epochs.model_dump(mode="json")
    _keep(runner().model.module.state_dict(), "epochs", rank)

    early = params.train.model_copy(update={"early_stopping": EarlyStoppingSettings(patience=2, min_delta=100)})
    stopped = jobs.train(replace(twin(params, "stopping"), settings=early), project / "stopping.safetensors")
    report["stopped"] = stopped and stopped.model_dump(mode="json")
    report["ended"] = [runner().iter, runner().optim_wrapper.get_lr()["lr"][0]]

    _train_zoo(project, params, lambda name: _keep(runner().model.module.state_dict(), name, rank))
    report["metric"] = _metric(project / DATASET / "val.json", rank)
    jobs.train(twin(params, "finding"), project / "finding.safetensors")
    if rank == 1:
        _spoil()
    # Last, because what both processes say to each other may end in the middle.
    for name, failing in (("spoiled", job(params, "spoiled")), ("waiting", twin(params, "waiting"))):
        try:
            jobs.train(failing, project / f"{name}.safetensors")
        except Exception as error:
            report[name] = f"{type(error).__name__}: {error}"
    Path(f"report.{rank}.json").write_text(json.dumps(report))


def _train_zoo(project: Path, params: Params, keep: Callable[[str], None]) -> None:
    """Train an RTMDet whose batches change their size, and once more, interrupted in its last iteration."""
    jobs.train(twin(params, "zoo"), project / "zoo.safetensors")
    keep("zoo")
    Distiller.iteration = FailAt(6)  # type: ignore[assignment]
    try:
        jobs.train(twin(params, "zoo_broken"), project / "zoo_broken.safetensors")
    except KeyboardInterrupt:
        del Distiller.iteration
    jobs.train(twin(params, "zoo_broken"), project / "zoo_broken.safetensors")
    keep("zoo_broken")


def _keep(state: dict[str, Any], name: str, rank: int) -> None:
    torch.save(state, f"{name}.{rank}.pth")


def _watched() -> Callable[[], DeviceRunner]:
    seen: list[DeviceRunner] = []
    real = DeviceRunner.train

    def train(self: DeviceRunner) -> Any:
        seen.append(self)
        return real(self)

    DeviceRunner.train = train  # type: ignore[method-assign]
    return lambda: seen[-1]


def _gradients_missing_at_each_step() -> Callable[[], list[list[int]]]:
    counts: list[list[int]] = []
    real = AutocastOptimWrapper.step

    def step(self: AutocastOptimWrapper, **kwargs: Any) -> None:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        counts.append([sum(p.grad is None for p in parameters), len(parameters)])
        real(self, **kwargs)

    AutocastOptimWrapper.step = step  # type: ignore[method-assign]
    return lambda: list(counts)


def true_boxes(annotations: Path) -> dict[int, dict[str, Any]]:
    """The one box of each image, by image, as a COCO result whose score falls with the image's number."""
    found = json.loads(annotations.read_text())["annotations"]
    keys = ("image_id", "category_id", "bbox")
    return {one["image_id"]: {key: one[key] for key in keys} | {"score": 1 - one["image_id"] / 10} for one in found}


def _metric(annotations: Path, rank: int) -> float:
    # Three images over two processes: the sampler gives the second one the first image again.
    metric, truth = ValidationMetric(annotations), true_boxes(annotations)
    metric.process(None, [_sample(truth[image]) for image in ((1, 3), (2, 1))[rank]])
    return metric.evaluate(3)["val/ap"]


def _sample(result: dict[str, Any]) -> dict[str, Any]:
    left, top, width, height = result["bbox"]
    found = {
        "bboxes": torch.tensor([[left, top, left + width, top + height]]),
        "scores": torch.tensor([result["score"]]),
        "labels": torch.tensor([result["category_id"] - 1]),
    }
    return {"img_id": result["image_id"], "pred_instances": found}


def _spoil() -> None:
    real = Distiller._losses

    def losses(self: Distiller, *arguments: Any) -> Any:
        found = real(self, *arguments)
        if self.iteration == 2:
            found["loss_cls"] = [level * float("nan") for level in found["loss_cls"]]
        return found

    Distiller._losses = losses  # type: ignore[method-assign]
