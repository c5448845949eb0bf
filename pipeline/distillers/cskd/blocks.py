"""CSKD's comparisons of a student with its teacher: of FPN outputs, of tower features and of raw predictions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from pipeline.detectors.family import Branches
from pipeline.distillers.cskd.annotated_regions import Annotated
from pipeline.distillers.cskd.cosine_losses import Comparison, Weights
from pipeline.distillers.cskd.region_pooling import pooled

Levels = list[Tensor]
"""A loss, one scalar a level."""

_STANDARD_DEVIATION = 0.01


@dataclass(frozen=True)
class Switches:
    """Where one may leave the published computation.

    Attributes:
        detach_guidance: let no gradient flow through the guidance factor of the squared error.
        count_outside: count a cosine distance of 1 for each cell outside a mask.
    """

    detach_guidance: bool = False
    count_outside: bool = True

    def compare(self, student: Tensor, teacher: Tensor, regions: Sequence[Tensor] = ()) -> Comparison:
        """The comparison of two maps in float32."""
        return Comparison(student.float(), teacher.float(), self.detach_guidance, regions)


class NeckWeights(NamedTuple):
    """Weights of the FPN outputs' comparison: over the whole map, within the pooled boxes, and by masks."""

    feature: Weights
    roi: Weights
    mask: Weights


class NeckBlock(nn.Module):
    """Compares FPN outputs: whole, within the annotated boxes, over the foreground and over the background.

    Args:
        levels: number of levels.
        widths: channels of the student and of the teacher.
        weights: a comparison whose weights are both 0 is left out.
        adapt: compare after a 1x1 convolution of each level.
        switches: see there.
    """

    def __init__(
        self, levels: int, widths: tuple[int, int], weights: NeckWeights, adapt: bool, switches: Switches
    ) -> None:
        super().__init__()
        self.weights = weights
        self.switches = switches
        self.adapters = adapters([widths] * levels, adapt)

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor], annotated: Annotated) -> dict[str, Levels]:
        """Losses ``neck``, ``neck_roi``, ``neck_fg`` and ``neck_bg`` of maps ``[N, C, H, W]``, one a level."""
        adapted = [adapter(level) for adapter, level in zip(self.adapters, student, strict=True)]
        losses: dict[str, Levels] = {}
        with torch.autocast(teacher[0].device.type, enabled=False):
            for place, (feature_s, feature_t) in enumerate(zip(adapted, teacher, strict=True)):
                for name, loss in self._level(feature_s.float(), feature_t.float(), annotated, place).items():
                    losses.setdefault(name, []).append(loss)
        return losses

    def _level(self, student: Tensor, teacher: Tensor, annotated: Annotated, level: int) -> dict[str, Tensor]:
        losses = {}
        regions = [annotated.masks[level], ~annotated.masks[level]] if any(self.weights.mask) else []
        pair = self.switches.compare(student, teacher, regions) if regions or any(self.weights.feature) else None
        if pair is not None and any(self.weights.feature):
            losses["neck"] = pair.everywhere(self.weights.feature)
        if any(self.weights.roi):
            losses["neck_roi"] = self._roi(student, teacher, annotated.regions[level])
        if pair is not None and regions:
            for region, name in enumerate(("neck_fg", "neck_bg")):
                losses[name] = pair.within(self.weights.mask, region, self.switches.count_outside)
        return losses

    def _roi(self, student: Tensor, teacher: Tensor, regions: Tensor) -> Tensor:
        if not len(regions):
            return student.sum() * 0
        return self.switches.compare(pooled(student, regions), pooled(teacher, regions)).everywhere(self.weights.roi)


class TowerBlock(nn.Module):
    """Compares outputs of tower convolutions, pair by pair, after their activation.

    Args:
        levels: number of levels.
        widths: for each pair of convolutions, the channels of the student's and of the teacher's.
        weights: of the comparison.
        adapt: compare after a 1x1 convolution of each level and pair.
        switches: see there.
    """

    def __init__(
        self, levels: int, widths: Sequence[tuple[int, int]], weights: Weights, adapt: bool, switches: Switches
    ) -> None:
        super().__init__()
        self.weights = weights
        self.switches = switches
        self.adapters = nn.ModuleList(adapters(widths, adapt) for _ in range(levels))

    def forward(self, student: Sequence[Levels], teacher: Sequence[Levels]) -> Levels:
        """The mean over the pairs of the levels' losses; ``student[pair][level]`` is ``[N, C, H, W]``."""
        losses = []
        for level, convolutions in enumerate(self.adapters):
            each = zip(cast(nn.ModuleList, convolutions), student, strict=True)
            adapted = [adapter(maps[level]) for adapter, maps in each]
            with torch.autocast(adapted[0].device.type, enabled=False):
                pairs = [
                    self.switches.compare(feature_s, features_t[level]).everywhere(self.weights)
                    for feature_s, features_t in zip(adapted, teacher, strict=True)
                ]
                losses.append(torch.stack(pairs).mean())
        return losses


def compare_predictions(
    student: Sequence[Branches],
    teacher: Sequence[Branches],
    areas: Sequence[Tensor],
    weights: Weights,
    over_foreground: Collection[str],
    switches: Switches,
) -> dict[str, Levels]:
    """Losses of raw predictions, by output and level; scores and centerness are compared as probabilities.

    Args:
        student, teacher: predictions, one dict a level, in the same units.
        areas: number of foreground cells of each level.
        weights: of the comparison.
        over_foreground: outputs whose sums over all cells are divided by the foreground's area, as published.
        switches: see :class:`Switches`.
    """
    losses: dict[str, Levels] = {}
    for level_s, level_t, area in zip(student, teacher, areas, strict=True):
        for name in level_s:
            side_s, side_t = (maps[name].float() for maps in (level_s, level_t))
            pair = switches.compare(*((side_s, side_t) if name == "reg" else (side_s.sigmoid(), side_t.sigmoid())))
            loss = pair.everywhere(weights, area if name in over_foreground else None)
            losses.setdefault(name, []).append(loss)
    return losses


def adapters(widths: Sequence[tuple[int, int]], adapt: bool) -> nn.ModuleList:
    """A 1x1 convolution from each student's width to its teacher's, or nothing that computes."""
    if not adapt:
        return nn.ModuleList(nn.Identity() for _ in widths)
    return nn.ModuleList(reset(nn.Conv2d(width_s, width_t, 1)) for width_s, width_t in widths)


def reset(convolution: nn.Conv2d) -> nn.Conv2d:
    """The convolution, plain or deformable, with the weights that the published heads start from."""
    nn.init.normal_(convolution.weight, std=_STANDARD_DEVIATION)
    if (bias := getattr(convolution, "bias", None)) is not None:
        nn.init.zeros_(bias)
    return convolution
