"""What a distillation method needs to know of a detector family."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Branches = dict[str, Tensor]
"""One tensor for each branch of the head: ``cls`` and ``reg``."""


@dataclass(frozen=True)
class Assignment:
    """The targets that the student's own loss assigned, per level, flattened in the order (image, y, x, anchor).

    Attributes:
        labels: class index per anchor, ``num_classes`` for background; each ``[N * H * W * A]``.
        label_weights: 0 for ignored anchors and anchors in the padding, else 1; each ``[N * H * W * A]``.
        normaliser: sum over the images of ``max(#positives, 1)``, averaged over the processes where the
            family's own loss does so.
    """

    labels: list[Tensor]
    label_weights: list[Tensor]
    normaliser: float


class Family(ABC):
    """Adapter of one detector family; it reaches a stock mmdet head from outside and keeps no state."""

    branches: tuple[str, ...] = ("cls", "reg")

    def towers(self, head: Any) -> dict[str, Sequence[Any]]:
        """The stacked ConvModules of each branch."""
        return {"cls": head.cls_convs, "reg": head.reg_convs}

    @abstractmethod
    def predict(self, head: Any, features: Branches, level: int) -> Branches:
        """Apply the prediction layers to the last tower features ``[N, C, H, W]`` of one level."""

    @abstractmethod
    def predictions(self, outputs: tuple[list[Tensor], ...]) -> list[Branches]:
        """Regroup a head's forward outputs by level, as :meth:`predict` returns them."""

    @abstractmethod
    def assignment(self, head: Any, targets: tuple[Any, ...]) -> Assignment:
        """Read what ``head.get_targets`` returned during the student's own loss."""
