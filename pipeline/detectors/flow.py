"""How a batch goes through a detector in training, and what of it a distillation method is given."""

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


class ForwardPass(NamedTuple):
    """What a detector computed for a batch.

    Attributes:
        features: FPN outputs.
        predictions: raw predictions of the dense head, one dict a level.
        losses: its own; a teacher has none.
        assignment: the targets that its losses assigned, in the form of its kind of detector
            (:class:`pipeline.detectors.Assignment` for a single-stage one); a teacher has none.
    """

    features: Features
    predictions: list[Branches]
    losses: LossDict
    assignment: Any


class Flow(ABC):
    """The way of a batch through one kind of detector; the detector is stock and is not changed.

    Layers run in the precision that is switched on around the call, prediction layers too; raw predictions become
    float32 before the losses, which are computed in it.
    """

    @abstractmethod
    def losses(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> LossDict:
        """The student's own losses."""

    @abstractmethod
    def forward_student(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> ForwardPass:
        """The student's own losses, and all that methods need of their computation."""

    @abstractmethod
    def forward_teacher(self, teacher: BaseDetector, inputs: Tensor, predict: bool) -> ForwardPass:
        """The teacher's features and, with ``predict``, its raw predictions."""


class SingleStageFlow(Flow):
    """Backbone, neck and one dense head."""

    def losses(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> LossDict:
        features = student.extract_feat(inputs)
        return _head_losses(student.bbox_head, student.bbox_head(features), samples)

    def forward_student(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> ForwardPass:
        head, family = student.bbox_head, family_of(student)
        with ExitStack() as stack:
            results = {name: stack.enter_context(record_results(head, name)) for name in family.recorded}
            features = student.extract_feat(inputs)
            outputs = head(features)
            losses = _head_losses(head, outputs, samples)
        return ForwardPass(features, family.predictions(outputs), losses, family.assignment(head, results))

    def forward_teacher(self, teacher: BaseDetector, inputs: Tensor, predict: bool) -> ForwardPass:
        features = teacher.extract_feat(inputs)
        predictions = family_of(teacher).predictions(teacher.bbox_head(features)) if predict else []
        return ForwardPass(features, predictions, {}, None)


def _head_losses(head: Any, outputs: tuple[list[Tensor], ...], samples: list[Any]) -> LossDict:
    instances, ignored, metas = unpack_gt_instances(samples)
    in_float32 = [[level.float() for level in maps] for maps in outputs]
    with torch.autocast(in_float32[0][0].device.type, enabled=False):
        return head.loss_by_feat(*in_float32, instances, metas, ignored)
