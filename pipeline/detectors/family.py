"""What a detector family contributes to distillation; it knows nothing of any method."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from mmcv.cnn import DepthwiseSeparableConvModule
from mmdet.utils import reduce_mean
from torch import Tensor

Branches = dict[str, Tensor]
"""One tensor for each output of the head at one level: ``cls``, ``reg`` and, where there is one, ``ctr``."""


class Layer(NamedTuple):
    """A prediction of the head: the towers it sits on, mostly one, and what it makes of their last features."""

    branches: tuple[str, ...]
    apply: Callable[..., Tensor]

    def of(self, features: Mapping[str, Tensor]) -> Tensor:
        """The prediction from the last feature of each branch, ``[N, C, H, W]``."""
        return self.apply(*(features[branch] for branch in self.branches))


@dataclass(frozen=True)
class Assignment:
    """The targets that the student's own loss assigned, per level, flattened in the order (image, y, x, anchor).

    Attributes:
        labels: class index per anchor, ``num_classes`` for background; each ``[N * H * W * A]``.
        label_weights: 0 for ignored anchors and anchors in the padding, else 1; each ``[N * H * W * A]``.
            FCOS ignores none, so all are 1.
        box_weights: what the family's own box loss weighs the anchors by: 0 for all but the positives, and for these
            their centerness target where the family has one, for RTMDet the quality that the assigner measured, else
            1; each ``[N * H * W * A]``.
        priors: anchors ``[H * W * A, 4]`` or points ``[H * W, 2]`` of one image, in pixels.
        positives: what the family's own classification loss is divided by, averaged over the processes where it does
            so: the sum over the images of ``max(#positives, 1)``, for FCOS ``max(#positives, 1)`` of the batch, for
            RTMDet the sum of ``box_weights``, at least 1.
        box_normaliser: the same of the box loss; for FCOS, ATSS and RTMDet the bounded sum of ``box_weights``.
    """

    labels: list[Tensor]
    label_weights: list[Tensor]
    box_weights: list[Tensor]
    priors: list[Tensor]
    positives: float
    box_normaliser: float


class Family(ABC):
    """Adapter of one detector family; it reaches a stock mmdet head from outside and keeps no state.

    Attributes:
        name: of the family, by which methods list what was published for it.
        outputs: names of what the head's forward returns, in its order.
        predictors: names of the head's parts that come after the towers; the first one classifies.
        recorded: methods of the head that :meth:`assignment` reads the results of; dots lead to its parts.
        sums_levels: the family's losses are one number over all levels instead of one a level.
        averages_normaliser: the family's own loss averages its normaliser over the processes.
        scores_are_qualities: the classification learns the quality of the box (IoU) instead of a probability.
        predicts_distributions: ``reg`` is a distribution over bins for each side instead of one number.
        reg_units: attributes of the head that decide in which units :meth:`in_training_units` gives ``reg``.
    """

    name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]] = ("cls", "reg")
    predictors: ClassVar[tuple[str, ...]]
    recorded: ClassVar[tuple[str, ...]] = ("get_targets", "prior_generator.grid_priors")
    sums_levels: ClassVar[bool] = False
    averages_normaliser: ClassVar[bool] = True
    scores_are_qualities: ClassVar[bool] = False
    predicts_distributions: ClassVar[bool] = False
    reg_units: ClassVar[tuple[str, ...]] = ()

    def obstacles(self, head: Any) -> list[str]:
        """Why this head's towers and layers do not give its predictions, each with what to change; most have none."""
        del head
        return []

    def towers(self, head: Any, level: int) -> dict[str, Sequence[Any]]:
        """The stacked ConvModules of each branch at one level of the pyramid; most heads share them among all."""
        del level
        return {"cls": head.cls_convs, "reg": head.reg_convs}

    def tower_layer(self, head: Any, branch: str, number: int) -> list[Any]:
        """The ConvModule ``number`` (1-based) of a branch at each level, as a tap takes it."""
        return [self.towers(head, level)[branch][number - 1] for level in range(head.prior_generator.num_levels)]

    @abstractmethod
    def layers(self, head: Any, level: int, predictors: Any = None) -> dict[str, Layer]:
        """The prediction layers of one level, a :class:`Layer` for each of ``outputs``.

        Args:
            head: a stock head.
            level: of the pyramid.
            predictors: an object with the parts named in ``predictors``, if not the head's own are meant.
        """

    def predictions(self, outputs: tuple[list[Tensor], ...]) -> list[Branches]:
        """Regroup a head's forward outputs by level."""
        return [dict(zip(self.outputs, level, strict=True)) for level in zip(*outputs, strict=True)]

    def boxes(self, head: Any, priors: Tensor, regression: Tensor) -> Tensor:
        """Decode rows of the ``reg`` output of a head in evaluation, ``[n, 4]``, at priors ``[n, 4 or 2]``.

        Returns:
            ``[n, 4]`` corners in pixels, not clipped to the image.
        """
        return head.bbox_coder.decode(priors, regression)

    def compared(self, head: Any, priors: Tensor, regression: Tensor) -> Tensor:
        """The form of ``reg`` rows ``[n, 4]`` that the head's own box loss compares: boxes, unless a family differs."""
        return self.boxes(head, priors, regression)

    def box_loss(self, head: Any, boxes: Tensor, targets: Tensor, weights: Tensor, normaliser: float) -> Tensor:
        """The head's own box loss of :meth:`compared` rows ``[n, 4]`` with ``weights`` of the same shape, a scalar."""
        return head.loss_bbox(boxes, targets, weights, avg_factor=normaliser)

    def quality_loss(
        self, head: Any, logits: Tensor, labels: Tensor, qualities: Tensor, weights: Tensor, normaliser: float
    ) -> Tensor:
        """The head's own classification loss of a family whose scores are qualities, a scalar.

        Args:
            head: a stock head.
            logits: ``[n, K]``.
            labels: the class that each is to have, ``[n]``, ``num_classes`` for none.
            qualities: which score it is to have there, ``[n]``; 0 is that of all other classes.
            weights: ``[n]``.
            normaliser: divisor of the sum.
        """
        return head.loss_cls(logits, (labels, qualities), weight=weights, avg_factor=normaliser)

    def centerness_loss(self, head: Any, logits: Tensor, targets: Tensor, assignment: Assignment) -> Tensor:
        """The head's own loss of ``ctr`` rows ``[n]`` of positives against probabilities ``[n]``, a scalar."""
        return head.loss_centerness(logits, targets, avg_factor=assignment.positives)

    def in_training_units(self, head: Any, maps: Branches, level: int) -> Branches:
        """The predictions of a head in whatever mode, in the units that the layers of a head in training learn in."""
        del head, level
        return maps

    def assignment(self, head: Any, results: Mapping[str, list[Any]]) -> Assignment:
        """Read what each call of the methods in ``recorded`` returned during the student's own loss."""
        *_, labels, label_weights, _, _, positives = results["get_targets"][-1]
        if self.averages_normaliser:
            positives = reduce_mean(torch.tensor(positives, dtype=torch.float, device=labels[0].device)).item()
        labels = [level.reshape(-1) for level in labels]
        return Assignment(
            labels=labels,
            label_weights=[level.reshape(-1) for level in label_weights],
            box_weights=[(level < head.num_classes).float() for level in labels],
            priors=results["prior_generator.grid_priors"][-1],
            positives=float(positives),
            box_normaliser=float(positives),
        )


def tower_convolutions(modules: Iterable[Any]) -> list[Any]:
    """The ConvModules of a stack, two for each that is separable by depth."""
    return [
        part
        for module in modules
        for part in (
            (module.depthwise_conv, module.pointwise_conv)
            if isinstance(module, DepthwiseSeparableConvModule)
            else (module,)
        )
    ]


def scattered(values: Tensor, labels: list[Tensor], num_classes: int) -> list[Tensor]:
    """Values of the positives, in the order of the levels, as one row of numbers a level with 0 for the others."""
    positive = torch.cat(labels) < num_classes
    everywhere = values.new_zeros(len(positive)).masked_scatter(positive, values)
    return list(everywhere.split([len(level) for level in labels]))
