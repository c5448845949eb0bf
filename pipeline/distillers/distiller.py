"""The distiller wraps a student during training and disappears afterwards."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Self, cast

import torch
from mmdet.models.detectors.base import BaseDetector
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.model import BaseModel
from torch import Tensor, nn

from pipeline.detectors import Batch, ForwardPass, Normalisation, features_of, flow_of, renormalised
from pipeline.detectors.box_weights import decode_labels
from pipeline.detectors.flow import LossDict
from pipeline.detectors.group_norm import differentiate_in_float32
from pipeline.detectors.recorder import Taps, record_outputs
from pipeline.distillers.method import Method, View
from pipeline.distillers.schedule import WeightSchedule
from pipeline.errors import TrainingError


class Distiller(BaseModel):
    """A student with the methods that distil a frozen teacher into it; without methods it is plain training.

    The teacher is no sub-module: it is in no state dict, optimizer, EMA copy or DDP bucket, it moves with the
    distiller, stays in eval mode, and a deep copy shares it.

    Args:
        student: stock mmdet detector, trained.
        teacher: stock mmdet detector with its weights loaded, or none.
        methods: the distillation methods, already built for this pair.
        schedule: factor on the methods' losses by iteration; while it is 0 the teacher is not run.
        coded_classes: number of classes where the class indices of boxes hold their weights too
            (:mod:`pipeline.detectors.box_weights`).
    """

    # Set around nn.Module, which would register it.
    _teacher: Any

    def __init__(
        self,
        student: BaseDetector,
        teacher: BaseDetector | None = None,
        methods: list[Method] | None = None,
        schedule: WeightSchedule | None = None,
        coded_classes: int | None = None,
    ) -> None:
        super().__init__(data_preprocessor=student.data_preprocessor)
        self.student = student
        self.methods = nn.ModuleList(methods or [])
        self.iteration = 0
        self.schedule = schedule or WeightSchedule()
        self._coded_classes = coded_classes
        self._batch_images: list[str] = []
        self._memory_format = torch.contiguous_format
        object.__setattr__(self, "_teacher", teacher)
        if teacher is not None:
            teacher.requires_grad_(False).eval()
            # The teacher's images are the student's, as the teacher normalises them.
            own, wanted = (Normalisation.of(each.data_preprocessor) for each in (student, teacher))
            self._normalisations = own, wanted

    def init_weights(self) -> None:
        """Do nothing: student and methods arrive initialised, so that a twin starts from the same weights."""

    def forward(
        self, inputs: Tensor, data_samples: list[Any], mode: str = "loss"
    ) -> dict[str, Any] | list[Any] | tuple[Tensor, ...]:
        """Losses in mode ``loss``; every other mode is the student's own.

        Args:
            inputs: normalised images ``[N, 3, H, W]``.
            data_samples: mmdet's DetDataSample per image.
        """
        inputs = inputs.contiguous(memory_format=self._memory_format)
        if mode == "loss":
            self.iteration += 1
            if self._coded_classes is not None:
                decode_labels(data_samples, self._coded_classes)
            return self._losses(inputs, data_samples)
        return self.student(inputs, data_samples, mode=mode)

    def parse_losses(self, losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum the losses as mmengine does.

        Raises:
            TrainingError: a term is not finite, here or in another process; names every term and the images of the
                batch. All processes raise it: one alone would leave the others waiting for its gradients.
        """
        total, terms = super().parse_losses(losses)
        finite = torch.isfinite(total).int()
        is_finite_here = bool(finite)
        all_reduce(finite, op="min")
        if not finite:
            finding = "" if is_finite_here else self._not_finite(terms)
            raise TrainingError("\n".join(text for text in all_gather_object(finding) if text))
        if get_world_size() > 1:
            # DDP waits for a gradient of every parameter, and a method whose weight is 0 gives its adapters none.
            total = total + 0.0 * sum(parameter.sum() for parameter in self.methods.parameters())
        return total, terms

    def use_channels_last(self) -> None:
        """Keep images, student and teacher in the memory order that convolutions are fastest in.

        A student whose head no flow knows stays as it is: mmdet's own code views maps as rows (CenterNet's does), which
        is no view in this order.
        """
        if not flow_of(self.student).knows_head:
            return
        self._memory_format = torch.channels_last
        for module in (self, self._teacher):
            if module is not None:
                module.to(memory_format=torch.channels_last)
                differentiate_in_float32(module)

    def val_step(self, data: dict[str, Any]) -> list[Any]:
        """Predict in float32, whatever the training precision."""
        return self.student.val_step(data)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        if self._teacher is not None:
            self._teacher._apply(fn)
        return super()._apply(fn, recurse)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if self._teacher is not None:
            # Methods refer to parts of it.
            memo |= {id(module): module for module in self._teacher.modules()}
        copy = self.__class__.__new__(self.__class__)
        memo[id(self)] = copy
        for key, value in self.__dict__.items():
            object.__setattr__(copy, key, deepcopy(value, memo))
        return copy

    def _losses(self, inputs: Tensor, samples: list[Any]) -> LossDict:
        self._batch_images = [str(sample.metainfo.get("img_path", "?")) for sample in samples]
        flow = flow_of(self.student)
        factor = self.schedule.factor(self.iteration) if self.methods else 0.0
        if not factor:
            return flow.losses(self.student, inputs, samples)
        batch = Batch.of(inputs, samples)
        # First, so that what it needs for a moment does not come on top of the student's graph.
        views_t = self._forward_teacher(inputs, batch)
        with record_outputs(_tagged([method.student_taps() for method in self._each_method()])) as recorded:
            forward_student = flow.forward_student if self._reads_heads else flow.forward_features
            forward = forward_student(self.student, inputs, samples)
        views_s = self._views(forward, recorded)
        losses = forward.losses
        for method, view_s, view_t in zip(self._each_method(), views_s, views_t, strict=True):
            found = method.losses(view_s, view_t, forward.assignment, batch)
            if taken := sorted(found.keys() & losses.keys()):
                raise TrainingError(f"{type(method).__name__} returns {taken}, which another part already returned")
            losses |= _scaled(found, factor)
        return losses

    def _not_finite(self, terms: dict[str, Tensor]) -> str:
        values = ", ".join(f"{name} = {value.item():.4g}" for name, value in terms.items())
        return (
            f"iteration {self.iteration}: the loss is not finite: {values}; images of the batch: {self._batch_images}"
        )

    def _each_method(self) -> list[Method]:
        return cast(list[Method], list(self.methods))

    @property
    def _reads_heads(self) -> bool:
        return any(method.reads_heads for method in self._each_method())

    @torch.no_grad()
    def _forward_teacher(self, inputs: Tensor, batch: Batch) -> list[View]:
        inputs = renormalised(inputs, *self._normalisations, batch.image_shapes)
        inputs = inputs.contiguous(memory_format=self._memory_format)
        with record_outputs(_tagged([method.teacher_taps() for method in self._each_method()])) as recorded:
            if self._reads_heads:
                forward = flow_of(self._teacher).forward_teacher(self._teacher, inputs)
            else:
                forward = ForwardPass(features_of(self._teacher, inputs), [], {}, None)
        return self._views(forward, recorded)

    def _views(self, forward: ForwardPass, recorded: dict[str, list[Tensor]]) -> list[View]:
        places = range(len(self.methods))
        return [View(forward.features, forward.predictions, _untagged(recorded, place)) for place in places]


def _scaled(losses: LossDict, factor: float) -> LossDict:
    if factor == 1:
        return losses
    return {
        name: [level * factor for level in value] if isinstance(value, list) else value * factor
        for name, value in losses.items()
    }


def _tagged(taps: list[Taps]) -> Taps:
    # Two methods may give their taps the same names.
    return {f"{place}/{name}": modules for place, group in enumerate(taps) for name, modules in group.items()}


def _untagged(recorded: dict[str, list[Tensor]], place: int) -> dict[str, list[Tensor]]:
    tag = f"{place}/"
    return {name.removeprefix(tag): outputs for name, outputs in recorded.items() if name.startswith(tag)}
