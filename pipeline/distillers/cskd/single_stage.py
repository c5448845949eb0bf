"""CSKD of a single-stage detector.

FPN outputs, tower features and predictions follow the teacher's, most where their directions differ.

Source: CSKD, released code of swkdn16/CSKD. docs/methods.md has the equations, the switches and what the published code
does that one would not expect.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor, nn

from pipeline.detectors import Assignment, Batch, Family, family_of
from pipeline.detectors.family import Branches
from pipeline.detectors.flow import LossDict
from pipeline.detectors.recorder import Taps
from pipeline.distillers.cskd.annotated_regions import Annotated
from pipeline.distillers.cskd.assistant import AssistantInputs, Predictors, assistant_losses
from pipeline.distillers.cskd.blocks import Levels, NeckBlock, TowerBlock, compare_predictions
from pipeline.distillers.cskd.cosine_losses import Weights
from pipeline.distillers.cskd.published import PUBLISHED, CSKDSettings
from pipeline.distillers.cskd.single_stage_preflight import check_cskd, tower_pairs
from pipeline.distillers.method import Method, View
from pipeline.distillers.preflight import refuse, tower_widths

_KEYS = {"ctr": "center"}


class CSKD(Method):
    """Cosine-similarity-guided distillation of a single-stage detector; the two are of one family.

    Raises:
        RecipeError: the pair does not fit (every mismatch is listed), or all weights are 0.
    """

    settings_class = CSKDSettings
    published = PUBLISHED
    settings: CSKDSettings

    def __init__(self, student: BaseDetector, teacher: BaseDetector, settings: CSKDSettings) -> None:
        super().__init__(student, teacher, settings)
        self._family: Family = family_of(teacher)
        branches = {"cls": settings.cls_branch_weight, "reg": settings.reg_branch_weight}
        branches = {branch: weights for branch, weights in branches.items() if any(weights)}
        compares_neck = any(any(weights) for weights in settings.neck)
        self.reads_heads = any((*settings.prediction_weight, settings.assistant_weight, *branches))
        if not (compares_neck or self.reads_heads):
            refuse("CSKD", ["all weights are 0; give one of neck_weight, prediction_weight, or drop the method"])
        check_cskd(
            student,
            teacher,
            branch_convs=settings.branch_convs if branches else "last",
            adapts_neck=settings.neck_adapt or not compares_neck,
            adapts_branches=settings.branch_adapt or not branches,
        )
        self._pairs = {
            branch: tower_pairs(student, teacher, self._family, branch, settings.branch_convs) for branch in branches
        }
        # In this order: each draws its first weights from the same generator.
        self.neck = self._neck_block() if compares_neck else None
        self.towers = nn.ModuleDict({branch: self._tower_block(branch, branches[branch]) for branch in branches})
        self.assistant = Predictors(self._student_head, self._family) if settings.assistant_weight else None

    def student_taps(self) -> Taps:
        compared = {branch: [number for number, _ in pairs] for branch, pairs in self._pairs.items()}
        last = {} if self.assistant is None else {branch: [depth] for branch, depth in self._depths().items()}
        return self._taps(self._student_head, compared) | self._taps(self._student_head, last)

    def teacher_taps(self) -> Taps:
        compared = {branch: [number for _, number in pairs] for branch, pairs in self._pairs.items()}
        return self._taps(self._teacher_head, compared)

    def _taps(self, head: Any, numbers: Mapping[str, Sequence[int]]) -> dict[str, list[nn.Module]]:
        return {
            _tap(branch, number): self._family.tower_layer(head, branch, number)
            for branch in numbers
            for number in numbers[branch]
        }

    def _depths(self) -> dict[str, int]:
        """Of the student's towers, on whose last features the assistant predicts."""
        return {branch: len(tower) for branch, tower in self._family.towers(self._student_head, 0).items()}

    def losses(self, student: View, teacher: View, assignment: Assignment, batch: Batch) -> LossDict:
        annotated = Annotated.on(batch.boxes, self.settings.frames(batch), teacher.features)
        losses: dict[str, Levels] = {}
        if self.neck is not None:
            losses |= self.neck(student.features, teacher.features, annotated)
        losses |= {f"tower_{branch}": self._tower(branch, student, teacher) for branch in self.towers}
        predictions_t = self._in_training_units(self._teacher_head, teacher.predictions)
        assistant = self._assistant_inputs(student, predictions_t, annotated, assignment)
        with torch.autocast(teacher.features[0].device.type, enabled=False):
            if any(self.settings.prediction_weight):
                predictions_s = self._in_training_units(self._student_head, student.predictions)
                losses |= _named("pred", self._prediction_losses(predictions_s, predictions_t, annotated.areas))
            if assistant is not None:
                losses |= _named("assist", self._assistant_losses(assistant))
        return {f"loss_{name}_kd": levels for name, levels in losses.items()}

    def _neck_block(self) -> NeckBlock:
        heads, settings = (self._student_head, self._teacher_head), self.settings
        levels = len(self._student_head.prior_generator.strides)
        width_s, width_t = (int(head.in_channels) for head in heads)
        return NeckBlock(levels, (width_s, width_t), settings.neck, settings.neck_adapt, settings.switches)

    def _tower_block(self, branch: str, weights: Weights) -> TowerBlock:
        levels = len(self._student_head.prior_generator.strides)
        widths = [
            (
                tower_widths(self._student, self._family, number_s)[branch],
                tower_widths(self._teacher, self._family, number_t)[branch],
            )
            for number_s, number_t in self._pairs[branch]
        ]
        return TowerBlock(levels, widths, weights, self.settings.branch_adapt, self.settings.switches)

    def _tower(self, branch: str, student: View, teacher: View) -> Levels:
        features_s, features_t = (
            [view.taps[_tap(branch, number)] for number in numbers]
            for view, numbers in zip((student, teacher), zip(*self._pairs[branch], strict=True), strict=True)
        )
        return self.towers[branch](features_s, features_t)

    def _in_training_units(self, head: Any, predictions: list[Branches]) -> list[Branches]:
        return [
            {name: maps.float() for name, maps in self._family.in_training_units(head, outputs, level).items()}
            for level, outputs in enumerate(predictions)
        ]

    def _prediction_losses(
        self, student: list[Branches], teacher: list[Branches], areas: list[Tensor]
    ) -> dict[str, Levels]:
        # As published, where GFL's scores (qualities of boxes) are treated as the boxes are.
        over_foreground = ("cls", "reg", "ctr") if self._family.scores_are_qualities else ("reg", "ctr")
        weights, switches = self.settings.prediction_weight, self.settings.switches
        return compare_predictions(student, teacher, areas, weights, over_foreground, switches)

    def _assistant_inputs(
        self, student: View, predictions_t: list[Branches], annotated: Annotated, assignment: Assignment
    ) -> AssistantInputs | None:
        if self.assistant is None:
            return None
        head, last = self._student_head, {branch: _tap(branch, depth) for branch, depth in self._depths().items()}
        predictions = [
            self.assistant.predict(
                head, self._family, {branch: student.taps[tap][level] for branch, tap in last.items()}, level
            )
            for level in range(len(predictions_t))
        ]
        predictions = self._in_training_units(head, predictions)
        return AssistantInputs(head, self._family, predictions, predictions_t, annotated.masks, assignment)

    def _assistant_losses(self, inputs: AssistantInputs) -> dict[str, Levels]:
        losses = assistant_losses(inputs, self.settings.gamma, self.settings.alpha)
        weight = self.settings.assistant_weight
        return {name: [weight * loss for loss in levels] for name, levels in losses.items()}


def _named(group: str, losses: dict[str, Levels]) -> dict[str, Levels]:
    return {f"{group}_{_KEYS.get(name, name)}": levels for name, levels in losses.items()}


def _tap(branch: str, number: int) -> str:
    return f"{branch}.{number}"
