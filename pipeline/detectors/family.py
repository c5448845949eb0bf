"""What a distillation method needs to know of a detector family."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

Branches = dict[str, Tensor]
"""One tensor for each output of the head at one level: ``cls``, ``reg`` and, where there is one, ``ctr``."""


class Layer(NamedTuple):
    """A prediction layer of the head: the tower it sits on, and what it does to that tower's last feature."""

    branch: str
    apply: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Assignment:
    """The targets that the student's own loss assigned, per level, flattened in the order (image, y, x, anchor).

    Attributes:
        labels: class index per anchor, ``num_classes`` for background; each ``[N * H * W * A]``.
        label_weights: 0 for ignored anchors and anchors in the padding, else 1; each ``[N * H * W * A]``.
            FCOS ignores none, so all are 1.
        priors: anchors ``[H * W * A, 4]`` or points ``[H * W, 2]`` of one image, in pixels.
        normaliser: what the family's own losses are divided by, averaged over the processes where they do so: the
            sum over the images of ``max(#positives, 1)``, or for FCOS the sum of the positives' centerness targets.
    """

    labels: list[Tensor]
    label_weights: list[Tensor]
    priors: list[Tensor]
    normaliser: float


@dataclass(frozen=True)
class Published:
    """The settings that the CrossKD paper's released configurations use for a family.

    Attributes:
        reused_head_index: hand-over point, see :class:`pipeline.distillers.crosskd.CrossKD`.
        cls_weight, reg_weight, center_weight: weights of CrossKD's losses, 0 for none.
        feature_weight: weight of PKD beside it.
    """

    reused_head_index: int = 3
    cls_weight: float = 1.0
    reg_weight: float = 1.0
    center_weight: float = 0.0
    feature_weight: float = 2.0


class Family(ABC):
    """Adapter of one detector family; it reaches a stock mmdet head from outside and keeps no state.

    Attributes:
        outputs: names of what the head's forward returns, in its order.
        recorded: methods of the head that :meth:`assignment` reads the results of; dots lead to its parts.
        reg_losses: regression distillation that fits the regression output; the first is the published one.
        sums_levels: the family's losses are one number over all levels instead of one a level.
        averages_normaliser: the family's own loss averages its normaliser over the processes.
        published: settings of the released configurations.
    """

    outputs: ClassVar[tuple[str, ...]] = ("cls", "reg")
    recorded: ClassVar[tuple[str, ...]] = ("get_targets", "prior_generator.grid_priors")
    reg_losses: ClassVar[tuple[str, ...]] = ("giou", "iou")
    sums_levels: ClassVar[bool] = False
    averages_normaliser: ClassVar[bool] = True
    published: ClassVar[Published] = Published()

    def towers(self, head: Any) -> dict[str, Sequence[Any]]:
        """The stacked ConvModules of each branch."""
        return {"cls": head.cls_convs, "reg": head.reg_convs}

    @abstractmethod
    def layers(self, head: Any, level: int) -> dict[str, Layer]:
        """The prediction layers of one level, a :class:`Layer` for each of ``outputs``."""

    def predictions(self, outputs: tuple[list[Tensor], ...]) -> list[Branches]:
        """Regroup a head's forward outputs by level."""
        return [dict(zip(self.outputs, level, strict=True)) for level in zip(*outputs, strict=True)]

    def boxes(self, head: Any, priors: Tensor, regression: Tensor) -> Tensor:
        """Decode rows of a teacher's or cross head's ``reg`` output ``[n, 4]`` at priors ``[n, 4 or 2]``.

        Returns:
            ``[n, 4]`` corners in pixels, not clipped to the image.
        """
        return head.bbox_coder.decode(priors, regression)

    def assignment(self, head: Any, results: Mapping[str, list[Any]]) -> Assignment:
        """Read what each call of the methods in ``recorded`` returned during the student's own loss."""
        *_, labels, label_weights, _, _, positives = results["get_targets"][-1]
        if self.averages_normaliser:
            positives = reduce_mean(torch.tensor(positives, dtype=torch.float, device=labels[0].device)).item()
        return Assignment(
            labels=[level.reshape(-1) for level in labels],
            label_weights=[level.reshape(-1) for level in label_weights],
            priors=results["prior_generator.grid_priors"][-1],
            normaliser=float(positives),
        )
