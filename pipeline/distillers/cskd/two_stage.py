"""CSKD of a Faster R-CNN: FPN outputs, both stages' features and predictions follow the teacher's.

The second stage is compared on two sets of regions, those that the student's proposals lead to and those that the
teacher's do. Source: CSKD, released code of swkdn16/CSKD; docs/cskd_two_stage.md has the equations.
"""

from collections.abc import Sequence

import torch
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor
from torch.nn import functional as F

from pipeline.detectors import Batch
from pipeline.detectors.faster_rcnn import (
    RegionOutputs,
    Regions,
    TwoStageAssignment,
    classify_regions,
    pool,
    proposal_config,
    propose,
    sample_regions,
)
from pipeline.detectors.flow import LossDict
from pipeline.detectors.recorder import Taps
from pipeline.distillers.cskd.annotated_regions import Annotated
from pipeline.distillers.cskd.blocks import Levels, NeckBlock
from pipeline.distillers.cskd.published import TwoStageCSKDSettings
from pipeline.distillers.cskd.two_stage_blocks import ProposalBlock, RegionBlock, RegionWeights, RPNOutputs
from pipeline.distillers.cskd.two_stage_preflight import check_cskd_two_stage
from pipeline.distillers.method import Method, View
from pipeline.distillers.preflight import refuse

_TAP = "rpn"


class TwoStageCSKD(Method):
    """Cosine-similarity-guided distillation of a Faster R-CNN; ``type="CSKD"`` of a recipe whose student is one.

    Widths may differ, as every comparison of features has a convolution or a linear layer of its own on the student's
    side. The teacher needs its ``train_cfg``, by which its own proposals are assigned and sampled.

    Raises:
        RecipeError: the pair does not fit (every mismatch is listed), or all weights are 0.
    """

    settings_class = TwoStageCSKDSettings
    settings: TwoStageCSKDSettings

    def __init__(self, student: BaseDetector, teacher: BaseDetector, settings: TwoStageCSKDSettings) -> None:
        super().__init__(student, teacher, settings)
        check_cskd_two_stage(student, teacher)
        rpn_s, rpn_t = self._student.rpn_head, self._teacher.rpn_head
        levels, widths = len(rpn_s.prior_generator.strides), (int(rpn_s.in_channels), int(rpn_t.in_channels))
        compares_neck = any(any(weights) for weights in settings.neck)
        self.neck = NeckBlock(levels, widths, settings.neck, True, settings.switches) if compares_neck else None
        self.proposals = ProposalBlock(
            rpn_s,
            rpn_t,
            settings.rpn_weight,
            settings.rpn_prediction_weight,
            settings.assistant_weight,
            settings.switches,
        )
        weights = (settings.region_weight, settings.hidden_weight, settings.prediction_weight)
        self.regions = RegionBlock(
            self._student.roi_head,
            self._teacher.roi_head,
            RegionWeights(*weights, settings.assistant_weight),
            settings.switches,
        )
        if not (compares_neck or self.proposals.has_losses or self.regions.has_losses):
            refuse("CSKD", ["all weights are 0; give one of neck_weight, prediction_weight, or drop the method"])

    def student_taps(self) -> Taps:
        return {_TAP: [self._student.rpn_head.rpn_conv]}

    def teacher_taps(self) -> Taps:
        return {_TAP: [self._teacher.rpn_head.rpn_conv]}

    def losses(self, student: View, teacher: View, assignment: TwoStageAssignment, batch: Batch) -> LossDict:
        annotated = Annotated.on(batch.boxes, self.settings.frames(batch), teacher.features)
        losses: dict[str, Tensor | Levels] = {}
        if self.neck is not None:
            compared = self.neck(student.features, teacher.features, annotated)
            losses |= {name: torch.stack(levels).mean() for name, levels in compared.items()}
        rpn_s, rpn_t = (RPNOutputs(_activated(view.taps[_TAP]), view.predictions) for view in (student, teacher))
        losses |= self.proposals(self._student.rpn_head, rpn_s, rpn_t, annotated.areas, assignment)
        if self.regions.has_losses:
            losses |= self._second_stage(student, teacher, assignment, batch)
        return {f"loss_{name}_kd": value for name, value in losses.items()}

    def _second_stage(
        self, student: View, teacher: View, assignment: TwoStageAssignment, batch: Batch
    ) -> dict[str, Tensor]:
        regions_t, labels, outputs_t, pooled = self._teachers_second_stage(teacher, assignment, batch)
        pooled_s = pool(self._student.roi_head, student.features, regions_t.rois)
        pairs = {"student": (assignment.pooled, pooled["student"]), "teacher": (pooled_s, pooled["teacher"])}
        return self.regions(self._student.roi_head.bbox_head, pairs, outputs_t, labels)

    @torch.no_grad()
    def _teachers_second_stage(
        self, teacher: View, assignment: TwoStageAssignment, batch: Batch
    ) -> tuple[Regions, Tensor, RegionOutputs, dict[str, Tensor]]:
        roi = self._teacher.roi_head
        found = propose(self._teacher.rpn_head, teacher.predictions, batch.samples, proposal_config(self._student))
        # Sampling draws random numbers; the student's own draws and its images stay those of its twin.
        with torch.random.fork_rng(devices=[]):
            regions = sample_regions(roi, found, batch.samples, teacher.features)
        labels, *_ = roi.bbox_head.get_targets(regions.sampled, roi.train_cfg)
        pooled = {"teacher": pool(roi, teacher.features, regions.rois)}
        pooled["student"] = pool(roi, teacher.features, assignment.regions.rois)
        return regions, labels, classify_regions(roi.bbox_head, pooled["teacher"]), pooled


def _activated(maps: Sequence[Tensor]) -> Levels:
    # The RPN applies its activation outside its convolution.
    return [F.relu(level) for level in maps]
