"""How a batch goes through a detector in training, and what of it a distillation method is given."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.utils import unpack_gt_instances
from torch import Tensor

from pipeline.detectors.adapters import family_of
from pipeline.detectors.box_weights import weight_losses
from pipeline.detectors.family import Branches
from pipeline.detectors.pyramid import Features, checked_features
from pipeline.detectors.recorder import record_results, replaced
from pipeline.errors import RecipeError

LossDict = dict[str, Tensor | list[Tensor]]

# It decides trainings of twins too, which do not depend on adapters (dvc.yaml): it stands here.
_IN_FLOAT32 = frozenset({"TOODHead"})
"""Heads that put out probabilities and boxes, which bfloat16 would round: they run in float32 as a whole."""


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
            There are none where no method reads them.
        losses: its own; a teacher has none.
        assignment: the targets that its losses assigned, in the form of its kind of detector
            (:class:`pipeline.detectors.Assignment` for a single-stage one); a teacher has none, nor a student whose
            predictions no method reads.
    """

    features: Features
    predictions: list[Branches]
    losses: LossDict
    assignment: Any


class Flow:
    """The way of a batch through a detector, whose losses are computed by mmdet's own code; it is not changed.

    Backbone and neck run in the precision that is switched on around the call, what is behind them in float32.

    Attributes:
        knows_head: whether the flow goes through the head step by step, so that methods can read its predictions.
    """

    knows_head: ClassVar[bool] = False

    def losses(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> LossDict:
        """The student's own losses."""
        with _float32_behind_neck(student, inputs.device.type):
            found = student.loss(inputs, samples)
        # The rest is what mmdet logs beside them, as a second stage's accuracy; the rule is mmengine's.
        return {name: loss for name, loss in found.items() if "loss" in name}

    def forward_features(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> ForwardPass:
        """The student's own losses, and the FPN outputs that they were computed from.

        Raises:
            RecipeError: the detector does not take its features from one call of ``extract_feat``, or they are no maps.
        """
        with record_results(student, "extract_feat") as found:
            losses = self.losses(student, inputs, samples)
        if len(found) != 1:
            raise RecipeError(
                f"{type(student).__name__} calls extract_feat {len(found)} times for its losses and not once: its FPN "
                "outputs cannot be compared; choose another student"
            )
        return ForwardPass(checked_features(student, found[0]), [], losses, None)

    def forward_student(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> ForwardPass:
        """The student's own losses, and all that methods need of their computation.

        Raises:
            RecipeError: there is no adapter of the detector's head.
        """
        raise _without_adapter(student)

    def forward_teacher(self, teacher: BaseDetector, inputs: Tensor) -> ForwardPass:
        """The teacher's features and its raw predictions.

        Raises:
            RecipeError: there is no adapter of the detector's head.
        """
        raise _without_adapter(teacher)


class SingleStageFlow(Flow):
    """Backbone, neck and one dense head that has an adapter.

    Layers run in the precision that is switched on around the call, prediction layers too, but for heads that put
    out no logits; raw predictions become float32 before the losses, which are computed in it.
    """

    knows_head = True

    def losses(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> LossDict:
        features = student.extract_feat(inputs)
        return _head_losses(student.bbox_head, _head_outputs(student, features), samples)

    def forward_student(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> ForwardPass:
        head, family = student.bbox_head, family_of(student)
        with ExitStack() as stack:
            results = {name: stack.enter_context(record_results(head, name)) for name in family.recorded}
            features = student.extract_feat(inputs)
            outputs = _head_outputs(student, features)
            losses = _head_losses(head, outputs, samples)
        return ForwardPass(features, family.predictions(outputs), losses, family.assignment(head, results))

    def forward_teacher(self, teacher: BaseDetector, inputs: Tensor) -> ForwardPass:
        features = teacher.extract_feat(inputs)
        return ForwardPass(features, family_of(teacher).predictions(_head_outputs(teacher, features)), {}, None)


def _head_outputs(detector: BaseDetector, features: Features) -> tuple[list[Tensor], ...]:
    if type(detector.bbox_head).__name__ not in _IN_FLOAT32:
        return detector.bbox_head(features)
    with torch.autocast(features[0].device.type, enabled=False):
        return detector.bbox_head(tuple(level.float() for level in features))


def _head_losses(head: Any, outputs: tuple[list[Tensor], ...], samples: list[Any]) -> LossDict:
    instances, ignored, metas = unpack_gt_instances(samples)
    in_float32 = [[level.float() for level in maps] for maps in outputs]
    in_float32 = weight_losses(in_float32, samples, head.prior_generator.strides)
    with torch.autocast(in_float32[0][0].device.type, enabled=False):
        return head.loss_by_feat(*in_float32, instances, metas, ignored)


@contextmanager
def _float32_behind_neck(detector: BaseDetector, device: str) -> Iterator[None]:
    """Switch autocast off but for ``extract_feat``, whose maps become float32."""
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)

    def around(extract_feat: Callable[[Tensor], Any]) -> Callable[[Tensor], Features]:
        def extract(inputs: Tensor) -> Features:
            with torch.autocast(device, dtype=dtype, enabled=enabled):
                return tuple(level.float() for level in checked_features(detector, extract_feat(inputs)))

        return extract

    with replaced(detector, "extract_feat", around), torch.autocast(device, enabled=False):
        yield


def _without_adapter(detector: BaseDetector) -> RecipeError:
    return RecipeError(
        f"{type(detector).__name__} has no adapter by which its predictions are compared; PKD, which compares FPN "
        "outputs alone, needs none"
    )
