"""CrossKD: the student's intermediate head features finish in the teacher's head (arXiv 2306.11369)."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.losses.iou_loss import giou_loss, iou_loss
from pydantic import Field
from torch import Tensor, nn

from pipeline.detectors import Assignment, Batch, Family, dense_head, family_of
from pipeline.detectors.family import Branches
from pipeline.detectors.flow import LossDict
from pipeline.detectors.recorder import Taps
from pipeline.distillers.losses import (
    FLOAT32_EPS,
    distribution_divergence,
    positive_entropy,
    quality_focal_distillation,
    rows,
    standardise_like,
)
from pipeline.distillers.method import Method, View
from pipeline.distillers.method_settings import MethodSettings, Switch, Weight
from pipeline.distillers.preflight import differ_in_width, refuse, single_stage_findings, tower_widths

BOX_LOSSES: dict[str, Callable[..., Tensor]] = {
    "giou": partial(giou_loss, eps=1e-7),
    "iou": partial(iou_loss, mode="log", eps=1e-6),
}


class CrossKDSettings(MethodSettings):
    """Arguments of CrossKD in a recipe. A loss of weight 0 is not computed.

    Attributes:
        reused_head_index: number of tower convolutions (1-based) after which the student's feature is handed to the
            teacher's head; 0 hands over the FPN output.
        cls_weight: weight of the classification distillation.
        reg_weight: weight of the regression distillation.
        center_weight: weight of the centerness distillation of the positives, where the family has a centerness.
        reg_loss: ``kl`` between distributions, for families that predict them and their default; else ``giou``
            (1 - GIoU, the default) or ``iou`` (-log IoU) between boxes.
        normaliser: divide by what the student's own classification loss is divided by (``positives``), or by that of
            its box loss (``boxes``).
        beta: exponent of the quality focal loss.
        temperature: temperature of the distribution divergence.
        bin_reduction: ``sum`` or ``mean`` of the divergence over the bins of a side.
        legacy_normaliser: divide by the normaliser even below 1, as published. Only FCOS's goes there: a batch
            without positives then has a loss in the hundred millions.
        adapter: a 1x1 convolution from the student's width to the teacher's on each branch; needed where the widths
            differ.
    """

    reused_head_index: Annotated[int, Field(description="the number of a tower convolution, or 0")] = 3
    cls_weight: Weight = 1.0
    reg_weight: Weight = 1.0
    center_weight: Weight = 0.0
    reg_loss: Annotated[Literal["kl", "giou", "iou"] | None, Field(description="'kl', 'giou' or 'iou'")] = None
    normaliser: Literal["positives", "boxes"] = "positives"
    beta: Weight = 1.0
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False, description="a number above 0")] = 1.0
    bin_reduction: Literal["sum", "mean"] = "sum"
    legacy_normaliser: Switch = False
    adapter: Switch = False


PUBLISHED: dict[str, dict[str, Any]] = {
    "GFL": {"reg_weight": 4.0},
    "RetinaNet": {},
    "FCOS": {
        "reused_head_index": 2,
        "cls_weight": 0.4,
        "reg_weight": 0.75,
        "reg_loss": "iou",
        "normaliser": "boxes",
    },
    "ATSS": {"center_weight": 1.0},
}
"""What the released configurations of a family have otherwise than the defaults of :class:`CrossKDSettings`."""


class CrossKD(Method):
    """Cross-head knowledge distillation for single-stage detectors of one family.

    Raises:
        RecipeError: the pair does not fit (every mismatch is listed), or a setting does not fit the family.
    """

    settings_class = CrossKDSettings
    published = PUBLISHED
    settings: CrossKDSettings

    def __init__(self, student: BaseDetector, teacher: BaseDetector, settings: CrossKDSettings) -> None:
        super().__init__(student, teacher, settings)
        self._family: Family = family_of(teacher)
        fitting = ("kl",) if self._family.predicts_distributions else tuple(BOX_LOSSES)
        self.reg_loss = settings.reg_loss or fitting[0]
        check_crosskd(student, teacher, settings.reused_head_index, settings.adapter)
        self._check_losses(fitting)
        self._outputs = self._needed_outputs()
        self._branches = self._needed_branches()
        self.adapters = nn.ModuleDict()
        if settings.adapter:
            widths_s, widths_t = (
                tower_widths(detector, self._family, settings.reused_head_index) for detector in (student, teacher)
            )
            for branch in self._branches:
                self.adapters[branch] = nn.Conv2d(widths_s[branch], widths_t[branch], 1)

    def student_taps(self) -> Taps:
        return self._taps(self._student_head)

    def teacher_taps(self) -> Taps:
        return self._taps(self._teacher_head)

    def losses(self, student: View, teacher: View, assignment: Assignment, batch: Batch) -> LossDict:
        cross = [self._cross(student, teacher, level) for level in range(len(teacher.features))]
        predictions = teacher.predictions
        normaliser = self._normaliser(assignment)
        losses: dict[str, list[Tensor]] = {}
        with torch.autocast(teacher.features[0].device.type, enabled=False):
            if self.settings.cls_weight:
                losses["loss_cls_kd"] = self._classification(cross, predictions, assignment, normaliser)
            if self.settings.reg_weight:
                losses["loss_reg_kd"] = self._regression(cross, predictions, assignment, normaliser)
            if self.settings.center_weight:
                losses["loss_center_kd"] = self._centerness(cross, predictions, assignment, normaliser)
            if self._family.sums_levels:
                return {name: torch.stack(levels).sum() for name, levels in losses.items()}
        return dict(losses)

    def _normaliser(self, assignment: Assignment) -> float:
        boxes = self.settings.normaliser == "boxes"
        normaliser = assignment.box_normaliser if boxes else assignment.positives
        # The published FCOS divides by 1e-6 where a batch has no positives; every other family starts at 1.
        return normaliser if self.settings.legacy_normaliser else max(normaliser, 1.0)

    def _taps(self, head: nn.Module) -> Taps:
        index = self.settings.reused_head_index
        return {branch: self._family.tower_layer(head, branch, index) for branch in self._branches if index}

    def _cross(self, student: View, teacher: View, level: int) -> Branches:
        towers = self._family.towers(self._teacher_head, level)
        features = {}
        for branch in self._branches:
            feature = self._aligned(branch, student, teacher, level)
            for layer in towers[branch][self.settings.reused_head_index :]:
                feature = layer(feature)
            features[branch] = feature
        layers = self._family.layers(self._teacher_head, level)
        return {name: layers[name].of(features) for name in self._outputs}

    def _aligned(self, branch: str, student: View, teacher: View, level: int) -> Tensor:
        index = self.settings.reused_head_index
        feature_s, feature_t = (
            view.taps[branch][level] if index else view.features[level] for view in (student, teacher)
        )
        if branch in self.adapters:
            feature_s = self.adapters[branch](feature_s)
        with torch.autocast(feature_s.device.type, enabled=False):
            aligned = standardise_like(feature_s.float(), feature_t.float())
        if not index:
            return aligned
        activation = getattr(self._family.towers(self._teacher_head, level)[branch][index - 1], "activate", None)
        # A ReLU takes it back to where the teacher's features lie. Another activation, the second one, would change it.
        return activation(aligned) if isinstance(activation, nn.ReLU) else aligned

    def _classification(
        self, cross: list[Branches], teacher: list[Branches], assignment: Assignment, normaliser: float
    ) -> list[Tensor]:
        return [
            self.settings.cls_weight
            * quality_focal_distillation(
                self._rows(level_s, "cls"), self._rows(level_t, "cls"), weights, normaliser, self.settings.beta
            )
            for level_s, level_t, weights in zip(cross, teacher, assignment.label_weights, strict=True)
        ]

    def _regression(
        self, cross: list[Branches], teacher: list[Branches], assignment: Assignment, normaliser: float
    ) -> list[Tensor]:
        weights = [
            self._scores(level) * (label_weights > 0)
            for level, label_weights in zip(teacher, assignment.label_weights, strict=True)
        ]
        levels = list(zip(cross, teacher, weights, strict=True))
        if self.reg_loss == "kl":
            total = sum(weight.sum() for weight in weights) + FLOAT32_EPS
            return [self.settings.reg_weight * self._divergence(*level) / total for level in levels]
        return [
            self.settings.reg_weight * self._box_distance(*level, priors, normaliser)
            for level, priors in zip(levels, assignment.priors, strict=True)
        ]

    def _divergence(self, cross: Branches, teacher: Branches, weights: Tensor) -> Tensor:
        bins = self._teacher_head.reg_max + 1
        logits_s, logits_t = (rows(maps["reg"], bins) for maps in (cross, teacher))
        divergence = distribution_divergence(logits_s, logits_t, self.settings.temperature)
        if self.settings.bin_reduction == "mean":
            divergence = divergence / bins
        return (divergence.reshape(-1, 4).sum(dim=1) * weights).sum() / (4 + FLOAT32_EPS)

    def _box_distance(
        self, cross: Branches, teacher: Branches, weights: Tensor, priors: Tensor, normaliser: float
    ) -> Tensor:
        everywhere = priors.repeat(len(teacher["reg"]), 1)
        boxes = [
            self._family.boxes(self._student_head, everywhere, self._rows(maps, "reg")) for maps in (cross, teacher)
        ]
        return BOX_LOSSES[self.reg_loss](*boxes, weight=weights, avg_factor=normaliser)

    def _centerness(
        self, cross: list[Branches], teacher: list[Branches], assignment: Assignment, normaliser: float
    ) -> list[Tensor]:
        background = self._teacher_head.num_classes
        return [
            self.settings.center_weight
            * positive_entropy(
                self._rows(level_s, "ctr")[:, 0], self._rows(level_t, "ctr")[:, 0], labels < background, normaliser
            )
            for level_s, level_t, labels in zip(cross, teacher, assignment.labels, strict=True)
        ]

    def _scores(self, maps: Branches) -> Tensor:
        best = maps["cls"].float().unflatten(1, (-1, self._teacher_head.cls_out_channels)).amax(dim=2)
        return rows(best.sigmoid(), 1)[:, 0]

    def _rows(self, maps: Branches, name: str) -> Tensor:
        widths = {"cls": self._teacher_head.cls_out_channels, "reg": 4, "ctr": 1}
        return rows(maps[name].float(), widths[name])

    def _needed_outputs(self) -> list[str]:
        weights = {"cls": self.settings.cls_weight, "reg": self.settings.reg_weight, "ctr": self.settings.center_weight}
        return [name for name in self._family.outputs if weights[name]]

    def _needed_branches(self) -> list[str]:
        layers = self._family.layers(self._teacher_head, 0)
        used = {branch for name in self._outputs for branch in layers[name].branches}
        return [branch for branch in self._family.towers(self._teacher_head, 0) if branch in used]

    def _check_losses(self, fitting: tuple[str, ...]) -> None:
        head, settings = type(self._teacher_head).__name__, self.settings
        findings = []
        if self.reg_loss not in fitting:
            findings.append(f"reg_loss is {self.reg_loss!r}; {head} takes {list(fitting)}")
        if settings.center_weight and "ctr" not in self._family.outputs:
            findings.append(
                f"center_weight is {settings.center_weight}, but {head} predicts no centerness; leave it out"
            )
        if not (settings.cls_weight or settings.reg_weight or settings.center_weight):
            findings.append("all weights are 0; give one of cls_weight, reg_weight, or drop the method")
        refuse("CrossKD", findings)


def check_crosskd(student: BaseDetector, teacher: BaseDetector, index: int, adapter: bool) -> None:
    """Whether the student's feature after tower convolution ``index`` can go on in the teacher's head.

    Raises:
        RecipeError: lists every mismatch with both sides and what to change.
    """
    findings = single_stage_findings(student, teacher, "CrossKD")
    family = family_of(teacher)
    depths = {
        who: min(len(tower) for tower in family.towers(dense_head(detector), 0).values())
        for who, detector in (("student", student), ("teacher", teacher))
    }
    too_deep = [
        f"reused_head_index is {index}, but the {who}'s towers have {depth} convolutions; choose 0 to {depth}"
        for who, depth in depths.items()
        if not 0 <= index <= depth
    ]
    findings += too_deep
    if not too_deep and not adapter:
        widths_s, widths_t = (tower_widths(detector, family, index) for detector in (student, teacher))
        findings += differ_in_width("head", widths_s, widths_t, "CrossKD", "adapter")
    refuse("CrossKD", findings)
