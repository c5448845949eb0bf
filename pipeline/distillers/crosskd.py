"""CrossKD: the student's intermediate head features finish in the teacher's head (arXiv 2306.11369)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.losses.iou_loss import giou_loss, iou_loss
from torch import Tensor, nn

from pipeline.detectors import Assignment, Batch, Family, family_of
from pipeline.detectors.family import Branches
from pipeline.detectors.flow import LossDict
from pipeline.distillers.losses import (
    FLOAT32_EPS,
    distribution_divergence,
    positive_entropy,
    quality_focal_distillation,
    rows,
    standardise_like,
)
from pipeline.distillers.method import Method, View
from pipeline.distillers.preflight import check_crosskd, tower_widths
from pipeline.errors import RecipeError

BOX_LOSSES: dict[str, Callable[..., Tensor]] = {
    "giou": partial(giou_loss, eps=1e-7),
    "iou": partial(iou_loss, mode="log", eps=1e-6),
}
_REDUCTIONS = ("sum", "mean")


class CrossKD(Method):
    """Cross-head knowledge distillation for dense detectors.

    A setting that is not given is the published one of the family (``Family.published``). A loss of weight 0 is not
    computed.

    Args:
        student, teacher: stock mmdet detectors of one family; they are referred to, not owned.
        reused_head_index: number of tower convolutions (1-based) after which the student's feature is handed to the
            teacher's head; 0 hands over the FPN output.
        cls_weight: weight of the classification distillation.
        reg_weight: weight of the regression distillation.
        center_weight: weight of the centerness distillation of the positives, where the family has a centerness.
        reg_loss: ``kl`` between distributions (GFL), or ``giou`` (1 - GIoU) or ``iou`` (-log IoU) between boxes.
        beta: exponent of the quality focal loss.
        temperature: temperature of the distribution divergence.
        bin_reduction: ``sum`` or ``mean`` of the divergence over the bins of a side.
        legacy_normaliser: divide by the family's normaliser even below 1, as published. Only FCOS's goes there: a
            batch without positives then has a loss in the hundred millions.
        adapter: a 1x1 convolution from the student's width to the teacher's on each branch, trained with the
            student and dropped afterwards; needed where the widths differ.

    Raises:
        RecipeError: the pair does not fit (every mismatch is listed), or an argument does not fit the family.
    """

    # mmdet's heads are untyped; they are referred to, so nn.Module must not register them.
    _student: Any
    _teacher_head: Any

    def __init__(
        self,
        student: BaseDetector,
        teacher: BaseDetector,
        reused_head_index: int | None = None,
        cls_weight: float | None = None,
        reg_weight: float | None = None,
        center_weight: float | None = None,
        reg_loss: str | None = None,
        beta: float = 1.0,
        temperature: float = 1.0,
        bin_reduction: str = "sum",
        legacy_normaliser: bool = False,
        adapter: bool = False,
    ) -> None:
        super().__init__()
        self._family: Family = family_of(teacher)
        published = self._family.published
        self.index = published.reused_head_index if reused_head_index is None else reused_head_index
        self.cls_weight = published.cls_weight if cls_weight is None else cls_weight
        self.reg_weight = published.reg_weight if reg_weight is None else reg_weight
        self.center_weight = published.center_weight if center_weight is None else center_weight
        self.reg_loss = self._family.reg_losses[0] if reg_loss is None else reg_loss
        self.beta = beta
        self.temperature = temperature
        self.bin_reduction = bin_reduction
        self.legacy_normaliser = legacy_normaliser
        check_crosskd(student, teacher, self.index, adapter)
        object.__setattr__(self, "_student", student)
        object.__setattr__(self, "_teacher_head", teacher.bbox_head)
        self._check_losses()
        self._outputs = self._needed_outputs()
        self._branches = self._needed_branches()
        self.adapters = nn.ModuleDict()
        if adapter:
            mine, known = (tower_widths(detector, self._family, self.index) for detector in (student, teacher))
            for branch in self._branches:
                self.adapters[branch] = nn.Conv2d(mine[branch], known[branch], 1)

    def student_taps(self) -> dict[str, nn.Module]:
        return self._taps(self._student.bbox_head)

    def teacher_taps(self) -> dict[str, nn.Module]:
        return self._taps(self._teacher_head)

    def losses(self, student: View, teacher: View, assignment: Assignment, batch: Batch) -> LossDict:
        cross = [self._cross(student, teacher, level) for level in range(len(teacher.features))]
        known = teacher.predictions
        # The published FCOS divides by 1e-6 where a batch has no positives; every other family starts at 1.
        normaliser = assignment.normaliser if self.legacy_normaliser else max(assignment.normaliser, 1.0)
        losses: dict[str, list[Tensor]] = {}
        with torch.autocast(teacher.features[0].device.type, enabled=False):
            if self.cls_weight:
                losses["loss_cls_kd"] = self._classification(cross, known, assignment, normaliser)
            if self.reg_weight:
                losses["loss_reg_kd"] = self._regression(cross, known, assignment, normaliser)
            if self.center_weight:
                losses["loss_center_kd"] = self._centerness(cross, known, assignment, normaliser)
            if self._family.sums_levels:
                return {name: torch.stack(levels).sum() for name, levels in losses.items()}
        return dict(losses)

    def _taps(self, head: nn.Module) -> dict[str, nn.Module]:
        if self.index == 0:
            return {}
        towers = self._family.towers(head)
        return {branch: towers[branch][self.index - 1] for branch in self._branches}

    def _cross(self, student: View, teacher: View, level: int) -> Branches:
        towers = self._family.towers(self._teacher_head)
        features = {}
        for branch in self._branches:
            feature = self._aligned(branch, student, teacher, level)
            for layer in towers[branch][self.index :]:
                feature = layer(feature)
            features[branch] = feature
        layers = self._family.layers(self._teacher_head, level)
        return {name: layers[name].apply(features[layers[name].branch]) for name in self._outputs}

    def _aligned(self, branch: str, student: View, teacher: View, level: int) -> Tensor:
        mine = student.taps[branch][level] if self.index else student.features[level]
        known = teacher.taps[branch][level] if self.index else teacher.features[level]
        if branch in self.adapters:
            mine = self.adapters[branch](mine)
        with torch.autocast(mine.device.type, enabled=False):
            aligned = standardise_like(mine.float(), known.float())
        if self.index == 0:
            return aligned
        return self._family.towers(self._teacher_head)[branch][self.index - 1].activate(aligned)

    def _classification(
        self, cross: list[Branches], known: list[Branches], assignment: Assignment, normaliser: float
    ) -> list[Tensor]:
        return [
            self.cls_weight
            * quality_focal_distillation(
                self._rows(mine, "cls"), self._rows(theirs, "cls"), weights, normaliser, self.beta
            )
            for mine, theirs, weights in zip(cross, known, assignment.label_weights, strict=True)
        ]

    def _regression(
        self, cross: list[Branches], known: list[Branches], assignment: Assignment, normaliser: float
    ) -> list[Tensor]:
        weights = [
            self._scores(theirs) * (label_weights > 0)
            for theirs, label_weights in zip(known, assignment.label_weights, strict=True)
        ]
        levels = list(zip(cross, known, weights, strict=True))
        if self.reg_loss == "kl":
            total = sum(weight.sum() for weight in weights) + FLOAT32_EPS
            return [self.reg_weight * self._divergence(*level) / total for level in levels]
        return [
            self.reg_weight * self._box_distance(*level, priors, normaliser)
            for level, priors in zip(levels, assignment.priors, strict=True)
        ]

    def _divergence(self, mine: Branches, theirs: Branches, weights: Tensor) -> Tensor:
        bins = self._teacher_head.reg_max + 1
        divergence = distribution_divergence(rows(mine["reg"], bins), rows(theirs["reg"], bins), self.temperature)
        if self.bin_reduction == "mean":
            divergence = divergence / bins
        return (divergence.reshape(-1, 4).sum(dim=1) * weights).sum() / (4 + FLOAT32_EPS)

    def _box_distance(
        self, mine: Branches, theirs: Branches, weights: Tensor, priors: Tensor, normaliser: float
    ) -> Tensor:
        everywhere = priors.repeat(len(theirs["reg"]), 1)
        boxes = [
            self._family.boxes(self._student.bbox_head, everywhere, self._rows(maps, "reg")) for maps in (mine, theirs)
        ]
        return BOX_LOSSES[self.reg_loss](*boxes, weight=weights, avg_factor=normaliser)

    def _centerness(
        self, cross: list[Branches], known: list[Branches], assignment: Assignment, normaliser: float
    ) -> list[Tensor]:
        background = self._teacher_head.num_classes
        return [
            self.center_weight
            * positive_entropy(
                self._rows(mine, "ctr")[:, 0], self._rows(theirs, "ctr")[:, 0], labels < background, normaliser
            )
            for mine, theirs, labels in zip(cross, known, assignment.labels, strict=True)
        ]

    def _scores(self, maps: Branches) -> Tensor:
        best = maps["cls"].float().unflatten(1, (-1, self._teacher_head.cls_out_channels)).amax(dim=2)
        return rows(best.sigmoid(), 1)[:, 0]

    def _rows(self, maps: Branches, name: str) -> Tensor:
        widths = {"cls": self._teacher_head.cls_out_channels, "reg": 4, "ctr": 1}
        return rows(maps[name].float(), widths[name])

    def _needed_outputs(self) -> list[str]:
        weights = {"cls": self.cls_weight, "reg": self.reg_weight, "ctr": self.center_weight}
        return [name for name in self._family.outputs if weights[name]]

    def _needed_branches(self) -> list[str]:
        layers = self._family.layers(self._teacher_head, 0)
        used = {layers[name].branch for name in self._outputs}
        return [branch for branch in self._family.towers(self._teacher_head) if branch in used]

    def _check_losses(self) -> None:
        head = type(self._teacher_head).__name__
        if self.reg_loss not in self._family.reg_losses:
            raise RecipeError(f"CrossKD: reg_loss is {self.reg_loss!r}; {head} takes {list(self._family.reg_losses)}")
        if self.bin_reduction not in _REDUCTIONS:
            raise RecipeError(f"CrossKD: bin_reduction is {self.bin_reduction!r}; choose one of {list(_REDUCTIONS)}")
        if self.center_weight and "ctr" not in self._family.outputs:
            raise RecipeError(
                f"CrossKD: center_weight is {self.center_weight}, but {head} predicts no centerness; leave it out"
            )
        if not (self.cls_weight or self.reg_weight or self.center_weight):
            raise RecipeError("CrossKD: all weights are 0; give one of cls_weight, reg_weight, or drop the method")
