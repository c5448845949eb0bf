"""How a batch goes through a detector in training, and what a distillation method may see of it."""

from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.utils import unpack_gt_instances
from torch import Tensor

from pipeline.detectors.adapters import family_of
from pipeline.detectors.family import Branches
from pipeline.detectors.recorder import record_results

LossDict = dict[str, Tensor | list[Tensor]]

Features = tuple[Tensor, ...]
"""FPN outputs, one ``[N, C, H, W]`` a level."""


@dataclass(frozen=True)
class Batch:
    """The images of an iteration and what is annotated in them.

    Attributes:
        boxes: annotated corners in pixels of the resized image, ``[n, 4]`` an image.
        labels: their class indices, ``[n]`` an image.
        image_shapes: height and width of each resized image, without its padding.
        input_shape: height and width of the padded batch.
        samples: mmdet's DetDataSample an image, where all of it comes from.
    """

    boxes: list[Tensor]
    labels: list[Tensor]
    image_shapes: list[tuple[int, int]]
    input_shape: tuple[int, int]
    samples: list[Any]

    @classmethod
    def of(cls, inputs: Tensor, samples: list[Any]) -> Self:
        """From normalised images ``[N, 3, H, W]`` and their samples."""
        height, width = inputs.shape[-2:]
        return cls(
            boxes=[sample.gt_instances.bboxes for sample in samples],
            labels=[sample.gt_instances.labels for sample in samples],
            image_shapes=[(int(s.img_shape[0]), int(s.img_shape[1])) for s in samples],
            input_shape=(int(height), int(width)),
            samples=samples,
        )


class Seen(NamedTuple):
    """What a detector computed: its losses (a student's only), its features, raw predictions and assigned targets.

    The targets have the form of the kind of detector: :class:`Assignment` for a dense head. A teacher has none.
    """

    features: Features
    predictions: list[Branches]
    losses: LossDict
    assignment: Any


class Flow(ABC):
    """The way of a batch through one kind of detector; the detector is stock and is not changed.

    Convolutions run in the precision that is switched on around the call, losses in float32.
    """

    @abstractmethod
    def losses(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> LossDict:
        """The student's own losses."""

    @abstractmethod
    def observed(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> Seen:
        """The student's own losses and all that a method wants to see of their computation."""

    @abstractmethod
    def look(self, teacher: BaseDetector, inputs: Tensor, predict: bool) -> Seen:
        """The teacher's features and, with ``predict``, its raw predictions."""


class SingleStageFlow(Flow):
    """Backbone, neck and one dense head."""

    def losses(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> LossDict:
        features = student.extract_feat(inputs)
        return _head_losses(student.bbox_head, student.bbox_head(features), samples)

    def observed(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> Seen:
        head, family = student.bbox_head, family_of(student)
        with ExitStack() as stack:
            results = {name: stack.enter_context(record_results(head, name)) for name in family.recorded}
            features = student.extract_feat(inputs)
            outputs = head(features)
            losses = _head_losses(head, outputs, samples)
        return Seen(features, family.predictions(outputs), losses, family.assignment(head, results))

    def look(self, teacher: BaseDetector, inputs: Tensor, predict: bool) -> Seen:
        features = teacher.extract_feat(inputs)
        predictions = family_of(teacher).predictions(teacher.bbox_head(features)) if predict else []
        return Seen(features, predictions, {}, None)


def _head_losses(head: Any, outputs: tuple[list[Tensor], ...], samples: list[Any]) -> LossDict:
    instances, ignored, metas = unpack_gt_instances(samples)
    exact = [[level.float() for level in maps] for maps in outputs]
    with torch.autocast(exact[0][0].device.type, enabled=False):
        return head.loss_by_feat(*exact, instances, metas, ignored)
