"""How long a training step takes on this machine: a few real ones on pictures of noise, before any data is prepared."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from pipeline.compute import choose_device, choose_precision
from pipeline.detectors.batch_norm import fold_batch_norm
from pipeline.distillers import Distiller, build_methods
from pipeline.recipes import Recipe, build_detector
from pipeline.settings import TrainSettings
from pipeline.training.autocast import AutocastOptimWrapper

Batch = dict[str, Any]
Step = Callable[[Batch], object]

_STEPS = (3, 9)
"""At least, and at most, that are measured; between the two none begins after :data:`_SECONDS` of them."""
_SECONDS = 3.0
_LONG, _LONG_FIRST = 2.0, 5.0
"""Seconds that a step would compute from which on steps on one image stand for it, each as often as it has images, and
that the very first of these computes from which on it stands for the others."""
_DISTURBED = 1.3
"""Times the computing time that a step of a CPU takes where other work is in its way; on a quiet machine it is 1.0."""


@dataclass(frozen=True)
class StepTime:
    """Seconds of a training step, medians over a few of them.

    Attributes:
        wall: on the clock.
        computing: that its thread was computing, and not waiting for a core: what it would take if nothing else ran.
            On a GPU they are those on the clock.
    """

    wall: float
    computing: float

    @property
    def is_disturbed(self) -> bool:
        """Whether other work on this machine held the steps up."""
        return self.wall > _DISTURBED * self.computing


def time_of_step(recipe: Recipe, teacher: BaseDetector | None, settings: TrainSettings) -> StepTime:
    """The time of a training step of a recipe, its weights random.

    Loading of pictures, which other processes do, and validation are not in it. Where a step takes long on a CPU, a
    step on one image stands for it, as many times as it has images.

    Args:
        recipe: the resolved recipe, whose batch size and input size count.
        teacher: for a recipe with methods; its batch norm is folded, as in a training.
        settings: device, precision and memory format.
    """
    device = choose_device(settings.device)
    images, step = recipe.config.train_dataloader.batch_size, _step_of(recipe, teacher, settings, device)
    batch = random_batch(images, recipe.input_size, len(recipe.classes))
    if device.type != "cpu":
        _timed(step, batch, device)  # takes memory and chooses kernels
        return _measured(step, batch, device)
    alone = random_batch(1, recipe.input_size, len(recipe.classes))
    first = _timed(step, alone, device)
    if first.computing > _LONG_FIRST:
        return _times(first, images)
    if _timed(step, alone, device).computing * images > _LONG:
        found = _times(_measured(step, alone, device), images)
    else:
        _timed(step, batch, device)
        found = _measured(step, batch, device)
    return _undisturbed(found, step, alone, images) if found.is_disturbed else found


def _undisturbed(found: StepTime, step: Step, alone: Batch, images: int) -> StepTime:
    """The same, and no more computing than that of one thread shared out.

    Threads that wait for one another do so computing, for a while, and where one of them has no core that is most of a
    step. One thread alone waits for none.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        one = _timed(step, alone, torch.device("cpu")).computing
    finally:
        torch.set_num_threads(threads)
    return StepTime(found.wall, min(found.computing, one * images / threads))


def _step_of(recipe: Recipe, teacher: BaseDetector | None, settings: TrainSettings, device: torch.device) -> Step:
    """A training step over a batch."""
    student = build_detector(recipe)
    if teacher is None:
        distiller = Distiller(student)
    else:
        teacher = fold_batch_norm(teacher.eval())
        distiller = Distiller(student, teacher, build_methods(recipe.config.distillation.methods, student, teacher))
    distiller = distiller.to(device).train()
    if settings.channels_last:
        distiller.use_channels_last()
    optimizer = torch.optim.SGD(distiller.parameters(), lr=1e-6)
    wrapper = AutocastOptimWrapper(device.type, choose_precision(settings.precision, device), optimizer=optimizer)
    return lambda batch: distiller.train_step(batch, wrapper)


def _measured(step: Step, batch: Batch, device: torch.device) -> StepTime:
    least, most = _STEPS
    times: list[StepTime] = []
    while len(times) < least or (len(times) < most and sum(one.wall for one in times) < _SECONDS):
        times.append(_timed(step, batch, device))
    return StepTime(median(one.wall for one in times), median(one.computing for one in times))


def _times(one: StepTime, images: int) -> StepTime:
    return StepTime(one.wall * images, one.computing * images)


def random_batch(batch: int, size: tuple[int, int], classes: int, boxes: int = 6) -> Batch:
    """Images of noise with random boxes, as a data loader gives them; equal arguments give equal ones.

    Args:
        batch: images.
        size: their height and width in pixels.
        classes: of the labels.
        boxes: of each image.
    """
    # A Runner tells this, and YOLOX's BatchSyncRandomResize asks for it.
    MessageHub.get_current_instance().update_info("iter", 0)
    generator = torch.Generator().manual_seed(0)
    height, width = size
    samples = []
    for _ in range(batch):
        corners = torch.rand(boxes, 2, 2, generator=generator).sort(dim=1).values
        bboxes = corners.flatten(1) * torch.tensor([width, height] * 2) + torch.tensor([0.0, 0.0, 8.0, 8.0])
        labels = torch.randint(classes, (boxes,), generator=generator)
        sample = DetDataSample(gt_instances=InstanceData(bboxes=bboxes, labels=labels))
        sample.set_metainfo({"img_shape": size, "ori_shape": size, "scale_factor": (1.0, 1.0)})
        samples.append(sample)
    images = [torch.randint(256, (3, height, width), generator=generator, dtype=torch.uint8) for _ in range(batch)]
    return {"inputs": images, "data_samples": samples}


def _timed(step: Step, batch: Batch, device: torch.device) -> StepTime:
    start, began = time.perf_counter(), time.thread_time()
    step(batch)
    computing = time.thread_time() - began
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    wall = time.perf_counter() - start
    return StepTime(wall, wall if device.type == "cuda" else computing)
