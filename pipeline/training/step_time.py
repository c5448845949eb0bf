"""How long a training step takes on this machine: a few real ones on pictures of noise, before any data is prepared."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from pipeline.compute import choose_device, choose_precision
from pipeline.detectors.batch_norm import fold_batch_norm
from pipeline.distillers import Distiller, build_methods
from pipeline.recipes import Recipe, build_detector
from pipeline.settings import TrainSettings
from pipeline.training.autocast import AutocastOptimWrapper


def seconds_of_step(recipe: Recipe, teacher: BaseDetector | None, settings: TrainSettings, steps: int = 3) -> float:
    """The median time of a training step of a recipe, its weights random, after one that is not counted.

    Loading of pictures, which other processes do, and validation are not in it.

    Args:
        recipe: the resolved recipe, whose batch size and input size count.
        teacher: for a recipe with methods; its batch norm is folded, as in a training.
        settings: device, precision and memory format.
        steps: that are measured.
    """
    device = choose_device(settings.device)
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
    batch = random_batch(recipe.config.train_dataloader.batch_size, recipe.input_size, len(recipe.classes))
    times = [_timed(lambda: distiller.train_step(batch, wrapper), device) for _ in range(steps + 1)]
    return statistics.median(times[1:])


def random_batch(batch: int, size: tuple[int, int], classes: int, boxes: int = 6) -> dict[str, Any]:
    """Images of noise with random boxes, as a data loader gives them; equal arguments give equal ones.

    Args:
        batch: images.
        size: their height and width in pixels.
        classes: of the labels.
        boxes: of each image.
    """
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


def _timed(step: Callable[[], object], device: torch.device) -> float:
    start = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
