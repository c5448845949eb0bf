"""CSKD: features, tower features and predictions follow the teacher's, most where their directions differ.

Source: CSKD, released code of swkdn16/CSKD. docs/methods.md has the equations, the switches and what the published code
does that one would not expect.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor, nn

from pipeline.detectors import Assignment, Batch, Family, family_of
from pipeline.detectors.family import Branches
from pipeline.detectors.flow import LossDict
from pipeline.distillers.cskd.annotated_regions import Annotated
from pipeline.distillers.cskd.assistant import Predictors, Taught, assistant_losses
from pipeline.distillers.cskd.blocks import Levels, NeckBlock, Switches, TowerBlock, compare_predictions
from pipeline.distillers.cskd.published import Pair, frames_of, neck_weights, weight_pair
from pipeline.distillers.method import Method, View
from pipeline.distillers.preflight import check_cskd, tower_pairs, tower_widths
from pipeline.errors import RecipeError

_KEYS = {"ctr": "center"}


class CSKD(Method):
    """Cosine-similarity-guided distillation of a single-stage detector.

    A weight that is not given is the published one of the family (``Family.published_cskd``), and so is
    ``branch_adapt``. A loss of weight 0 (of both numbers of its pair) is not computed, and its modules are not made.

    Args:
        student, teacher: stock mmdet detectors of one family; they are referred to, not owned.
        neck_weight: weights of the FPN outputs' comparison.
        roi_weight: the same within the annotated boxes, pooled.
        mask_weight: the same over the foreground and over the background.
        cls_branch_weight, reg_branch_weight: the same of the tower convolutions' outputs.
        prediction_weight: the same of the predictions.
        assistant_weight: factor on the losses of the assistant predictors.
        branch_convs: tower convolutions to compare: ``all`` (one by one, of towers of one depth), ``last`` (of towers
            of any depths), or pairs of 1-based numbers, the student's first.
        neck_adapt: compare FPN outputs after a 1x1 convolution of each level; needed where the widths differ.
        branch_adapt: the same of the tower features.
        detach_guidance: let no gradient flow through the guidance factor of the squared error.
        count_outside: count a cosine distance of 1 for each cell outside a mask: a constant, as published.
        box_frame: what a box is measured in before it is drawn on a level: ``image``, its size without padding, as
            published, which stretches the boxes of padded images; or ``batch``, the padded size.
        gamma, alpha: of the soft focal loss of the assistant's scores.

    Raises:
        RecipeError: the pair does not fit (every mismatch is listed), or an argument does not fit.
    """

    # mmdet's heads are untyped; they are referred to, so nn.Module must not register them.
    _student_head: Any
    _teacher_head: Any

    def __init__(
        self,
        student: BaseDetector,
        teacher: BaseDetector,
        neck_weight: Pair | None = None,
        roi_weight: Pair | None = None,
        mask_weight: Pair | None = None,
        cls_branch_weight: Pair | None = None,
        reg_branch_weight: Pair | None = None,
        prediction_weight: Pair | None = None,
        assistant_weight: float = 1.0,
        branch_convs: str | Sequence[Sequence[int]] = "all",
        neck_adapt: bool = True,
        branch_adapt: bool | None = None,
        detach_guidance: bool = False,
        count_outside: bool = True,
        box_frame: str = "image",
        gamma: float = 2.0,
        alpha: float = 0.25,
    ) -> None:
        super().__init__()
        self._family: Family = family_of(teacher)
        published = self._family.published_cskd
        self._frames = frames_of(box_frame)
        neck = neck_weights(neck_weight, roi_weight, mask_weight, published.neck)
        branches = {
            "cls": weight_pair("cls_branch_weight", cls_branch_weight, published.branch),
            "reg": weight_pair("reg_branch_weight", reg_branch_weight, published.branch),
        }
        branches = {branch: weights for branch, weights in branches.items() if any(weights)}
        self.prediction_weight = weight_pair("prediction_weight", prediction_weight, published.prediction)
        self.assistant_weight = assistant_weight
        self.gamma, self.alpha = gamma, alpha
        self._switches = Switches(detach_guidance, count_outside)
        adapts_branches = published.adapts_branches if branch_adapt is None else branch_adapt
        looks_at_neck = any(any(weights) for weights in neck)
        self.reads_predictions = any((*self.prediction_weight, assistant_weight, *branches))
        if not (looks_at_neck or self.reads_predictions):
            raise RecipeError("CSKD: all weights are 0; give one of neck_weight, prediction_weight, or drop the method")
        check_cskd(
            student,
            teacher,
            branch_convs=branch_convs if branches else "last",
            adapts_neck=neck_adapt or not looks_at_neck,
            adapts_branches=adapts_branches or not branches,
        )
        object.__setattr__(self, "_student_head", student.bbox_head)
        object.__setattr__(self, "_teacher_head", teacher.bbox_head)
        levels = len(student.bbox_head.prior_generator.strides)
        self.neck: nn.Module | None = None
        if looks_at_neck:
            mine, known = (int(detector.bbox_head.in_channels) for detector in (student, teacher))
            self.neck = NeckBlock(levels, (mine, known), neck, neck_adapt, self._switches)
        self._pairs = {branch: tower_pairs(student, teacher, self._family, branch, branch_convs) for branch in branches}
        self.towers = nn.ModuleDict()
        for branch, weights in branches.items():
            widths = [
                (
                    tower_widths(student, self._family, mine)[branch],
                    tower_widths(teacher, self._family, known)[branch],
                )
                for mine, known in self._pairs[branch]
            ]
            self.towers[branch] = TowerBlock(levels, widths, weights, adapts_branches, self._switches)
        self.assistant = Predictors(student.bbox_head, self._family) if assistant_weight else None

    def student_taps(self) -> dict[str, nn.Module]:
        towers = self._family.towers(self._student_head)
        taps = _taps(towers, {branch: [mine for mine, _ in pairs] for branch, pairs in self._pairs.items()})
        if self.assistant is not None:
            taps |= {_tap(branch, len(tower)): tower[-1] for branch, tower in towers.items()}
        return taps

    def teacher_taps(self) -> dict[str, nn.Module]:
        towers = self._family.towers(self._teacher_head)
        return _taps(towers, {branch: [known for _, known in pairs] for branch, pairs in self._pairs.items()})

    def losses(self, student: View, teacher: View, assignment: Assignment, batch: Batch) -> LossDict:
        annotated = Annotated.on(batch.boxes, self._frames(batch), teacher.features)
        losses: dict[str, Levels] = {}
        if self.neck is not None:
            losses |= self.neck(student.features, teacher.features, annotated)
        losses |= {f"tower_{branch}": self._tower(branch, student, teacher) for branch in self.towers}
        known = self._comparable(self._teacher_head, teacher.predictions)
        taught = self._taught(student, known, annotated, assignment)
        with torch.autocast(teacher.features[0].device.type, enabled=False):
            if any(self.prediction_weight):
                mine = self._comparable(self._student_head, student.predictions)
                losses |= _named("pred", self._predictions(mine, known, annotated.areas))
            if taught is not None:
                losses |= _named("assist", self._assist(taught))
        return {f"loss_{name}_kd": levels for name, levels in losses.items()}

    def _tower(self, branch: str, student: View, teacher: View) -> Levels:
        mine, known = (
            [view.taps[_tap(branch, number)] for number in numbers]
            for view, numbers in zip((student, teacher), zip(*self._pairs[branch], strict=True), strict=True)
        )
        return self.towers[branch](mine, known)

    def _comparable(self, head: Any, predictions: list[Branches]) -> list[Branches]:
        return [
            {name: maps.float() for name, maps in self._family.in_training_units(head, outputs, level).items()}
            for level, outputs in enumerate(predictions)
        ]

    def _predictions(self, mine: list[Branches], known: list[Branches], areas: list[Tensor]) -> dict[str, Levels]:
        over_foreground = self._family.published_cskd.over_foreground
        return compare_predictions(mine, known, areas, self.prediction_weight, over_foreground, self._switches)

    def _taught(
        self, student: View, known: list[Branches], annotated: Annotated, assignment: Assignment
    ) -> Taught | None:
        if self.assistant is None:
            return None
        head, towers = self._student_head, self._family.towers(self._student_head)
        mine = [
            self.assistant.predict(
                head,
                self._family,
                {branch: student.taps[_tap(branch, len(tower))][level] for branch, tower in towers.items()},
                level,
            )
            for level in range(len(known))
        ]
        return Taught(head, self._family, self._comparable(head, mine), known, annotated.masks, assignment)

    def _assist(self, taught: Taught) -> dict[str, Levels]:
        losses = assistant_losses(taught, self.gamma, self.alpha)
        return {name: [self.assistant_weight * loss for loss in levels] for name, levels in losses.items()}


def _named(group: str, losses: dict[str, Levels]) -> dict[str, Levels]:
    return {f"{group}_{_KEYS.get(name, name)}": levels for name, levels in losses.items()}


def _tap(branch: str, number: int) -> str:
    return f"{branch}.{number}"


def _taps(towers: dict[str, Sequence[Any]], numbers: dict[str, list[int]]) -> dict[str, nn.Module]:
    return {_tap(branch, number): towers[branch][number - 1] for branch in numbers for number in numbers[branch]}
