"""CrossKD: the student's intermediate head features finish in the teacher's head (arXiv 2306.11369)."""

from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor, nn

from pipeline.detectors import Assignment, Family, family_of
from pipeline.detectors.family import Branches
from pipeline.distillers.losses import (
    FLOAT32_EPS,
    distribution_divergence,
    quality_focal_distillation,
    standardise_like,
)
from pipeline.distillers.method import LossDict, Method, View
from pipeline.errors import RecipeError


class CrossKD(Method):
    """Cross-head knowledge distillation for dense detectors.

    Args:
        student, teacher: stock mmdet detectors of one family; they are referred to, not owned.
        reused_head_index: number of tower convolutions (1-based) after which the student's feature is handed to the
            teacher's head; 0 hands over the FPN output.
        cls_weight: weight of the classification distillation (published: 1).
        reg_weight: weight of the regression distillation (published for GFL: 4).
        beta: exponent of the quality focal loss.
        temperature: temperature of the distribution divergence.
        adapter: a 1x1 convolution from the student's width to the teacher's on each branch, trained with the
            student and dropped afterwards; needed where the widths differ.

    Raises:
        RecipeError: the index is outside either tower, the widths differ without ``adapter``, or the two heads have
            another number of levels, classes or bins.
    """

    # mmdet's heads are untyped; they are referred to, so nn.Module must not register them.
    _student: Any
    _teacher_head: Any

    def __init__(
        self,
        student: BaseDetector,
        teacher: BaseDetector,
        reused_head_index: int = 3,
        cls_weight: float = 1.0,
        reg_weight: float = 4.0,
        beta: float = 1.0,
        temperature: float = 1.0,
        adapter: bool = False,
    ) -> None:
        super().__init__()
        self.index = reused_head_index
        self.cls_weight = cls_weight
        self.reg_weight = reg_weight
        self.beta = beta
        self.temperature = temperature
        self._family: Family = family_of(teacher)
        _check_pair(student, teacher, self._family, reused_head_index)
        object.__setattr__(self, "_student", student)
        object.__setattr__(self, "_teacher_head", teacher.bbox_head)
        widths = {name: _width(head, self._family, self.index) for name, head in _heads(student, teacher)}
        self.adapters = nn.ModuleDict()
        if adapter:
            for branch in self._family.branches:
                self.adapters[branch] = nn.Conv2d(widths["student"], widths["teacher"], 1)
        elif widths["student"] != widths["teacher"]:
            raise RecipeError(
                f"CrossKD: the student's head is {widths['student']} channels wide and the teacher's "
                f"{widths['teacher']}; set `adapter=True` in the recipe's CrossKD method, or make the widths equal"
            )

    def student_taps(self) -> dict[str, nn.Module]:
        return self._taps(self._student.bbox_head)

    def teacher_taps(self) -> dict[str, nn.Module]:
        return self._taps(self._teacher_head)

    def losses(self, student: View, teacher: View, assignment: Assignment) -> LossDict:
        cross = [self._cross(student, teacher, level) for level in range(len(teacher.features))]
        weights = [
            max_score(known["cls"]) * weight
            for known, weight in zip(teacher.predictions, assignment.label_weights, strict=True)
        ]
        total = sum(weight.sum() for weight in weights) + FLOAT32_EPS
        with torch.autocast(teacher.features[0].device.type, enabled=False):
            triples = list(zip(cross, teacher.predictions, strict=True))
            return {
                "loss_cls_kd": [
                    self.cls_weight * self._classification(mine, known, label_weights, assignment.normaliser)
                    for (mine, known), label_weights in zip(triples, assignment.label_weights, strict=True)
                ],
                "loss_reg_kd": [
                    self.reg_weight * self._regression(mine, known, weight) / total
                    for (mine, known), weight in zip(triples, weights, strict=True)
                ],
            }

    def _taps(self, head: nn.Module) -> dict[str, nn.Module]:
        if self.index == 0:
            return {}
        return {branch: tower[self.index - 1] for branch, tower in self._family.towers(head).items()}

    def _cross(self, student: View, teacher: View, level: int) -> Branches:
        towers = self._family.towers(self._teacher_head)
        features = {}
        for branch, tower in towers.items():
            feature = self._aligned(branch, student, teacher, level)
            for layer in tower[self.index :]:
                feature = layer(feature)
            features[branch] = feature
        return self._family.predict(self._teacher_head, features, level)

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

    def _classification(self, mine: Branches, known: Branches, weights: Tensor, normaliser: float) -> Tensor:
        classes = self._teacher_head.cls_out_channels
        return quality_focal_distillation(
            rows(mine["cls"].float(), classes), rows(known["cls"].float(), classes), weights, normaliser, self.beta
        )

    def _regression(self, mine: Branches, known: Branches, weights: Tensor) -> Tensor:
        bins = self._teacher_head.reg_max + 1
        divergence = distribution_divergence(rows(mine["reg"], bins), rows(known["reg"], bins), self.temperature)
        return (divergence.reshape(-1, 4).sum(dim=1) * weights).sum() / (4 + FLOAT32_EPS)


def rows(maps: Tensor, width: int) -> Tensor:
    """``[N, A * width, H, W]`` as ``[N * H * W * A, width]``."""
    return maps.permute(0, 2, 3, 1).reshape(-1, width)


def max_score(logits: Tensor) -> Tensor:
    """Largest class score of each location: ``[N, K, H, W]`` to ``[N * H * W]``."""
    return logits.float().amax(dim=1).sigmoid().reshape(-1)


def _heads(student: BaseDetector, teacher: BaseDetector) -> list[tuple[str, nn.Module]]:
    return [("student", student.bbox_head), ("teacher", teacher.bbox_head)]


def _width(head: Any, family: Family, index: int) -> int:
    if index == 0:
        return int(head.in_channels)
    return int(next(iter(family.towers(head).values()))[index - 1].out_channels)


def _check_pair(student: BaseDetector, teacher: BaseDetector, family: Family, index: int) -> None:
    mine, known = student.bbox_head, teacher.bbox_head
    if type(mine) is not type(known):
        raise RecipeError(f"CrossKD: student head {type(mine).__name__} and teacher head {type(known).__name__} differ")
    for attribute, cure in (
        ("cls_out_channels", "train or fetch a teacher for the same classes"),
        ("reg_max", "set the same reg_max in both bbox_heads"),
    ):
        pair = getattr(mine, attribute), getattr(known, attribute)
        if pair[0] != pair[1]:
            raise RecipeError(f"CrossKD: {attribute} of the student is {pair[0]}, of the teacher {pair[1]}; {cure}")
    if mine.prior_generator.strides != known.prior_generator.strides:
        raise RecipeError(
            f"CrossKD: strides of the student are {mine.prior_generator.strides}, of the teacher "
            f"{known.prior_generator.strides}; give both the same levels"
        )
    for name, head in _heads(student, teacher):
        depth = min(len(tower) for tower in family.towers(head).values())
        if not 0 <= index <= depth:
            raise RecipeError(
                f"CrossKD: reused_head_index is {index}, but the {name}'s towers have {depth} convolutions; "
                f"choose 0 to {depth}"
            )
