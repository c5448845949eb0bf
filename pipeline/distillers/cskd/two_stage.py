"""CSKD of a Faster R-CNN: FPN outputs, both stages' features and predictions follow the teacher's.

The second stage is compared on two sets of regions, those that the student's proposals lead to and those that the
teacher's do. Source: CSKD, released code of swkdn16/CSKD; docs/cskd_two_stage.md has the equations.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.detectors import Batch
from pipeline.detectors.faster_rcnn import (
    Judged,
    Regions,
    TwoStageAssignment,
    judge,
    pool,
    proposal_config,
    propose,
    sample_regions,
)
from pipeline.detectors.flow import LossDict
from pipeline.distillers.cskd.annotated_regions import Annotated
from pipeline.distillers.cskd.blocks import Levels, NeckBlock, Switches
from pipeline.distillers.cskd.published import Pair, frames_of, neck_weights, weight_pair
from pipeline.distillers.cskd.two_stage_blocks import ProposalBlock, Proposed, RegionBlock, RegionWeights
from pipeline.distillers.cskd.two_stage_preflight import check_cskd_two_stage
from pipeline.distillers.method import Method, View
from pipeline.errors import RecipeError

_MAPS: Pair = (1.0, 0.5)
_VECTORS: Pair = (1.0, 1.0)
_TAP = "rpn"


class TwoStageCSKD(Method):
    """Cosine-similarity-guided distillation of a Faster R-CNN; ``type="CSKD"`` of a recipe whose student is one.

    A weight is a pair: of the guided squared error and of the cosine distance. One that is not given is the published
    one. A loss of weight 0 (of both numbers of its pair) is not computed, and its modules are not made. Widths may
    differ, as every comparison of features has a convolution or a linear layer of its own on the student's side.

    Args:
        student, teacher: stock mmdet detectors; they are referred to, not owned. The teacher needs its ``train_cfg``,
            by which its own proposals are assigned and sampled.
        neck_weight: of the FPN outputs' comparison, the mean over the levels as in all of the first stage.
        roi_weight: the same within the annotated boxes, pooled.
        mask_weight: the same over the foreground and over the background.
        rpn_weight: of the RPN's features.
        rpn_prediction_weight: of the RPN's predictions.
        region_weight: of the second stage's pooled features, for each of the two sets of regions.
        hidden_weight: of the second stage's hidden activations on the teacher's regions.
        prediction_weight: of the second stage's predictions on the teacher's regions.
        assistant_weight: factor on the losses of the assistant predictors of both stages.
        detach_guidance: let no gradient flow through the guidance factor of the squared error.
        count_outside: count a cosine distance of 1 for each cell outside a mask: a constant, as published.
        box_frame: ``image`` or ``batch``, see :class:`pipeline.distillers.cskd.single_stage.CSKD`.

    Raises:
        RecipeError: the pair does not fit (every mismatch is listed), or an argument does not fit.
    """

    # mmdet's detectors are untyped; they are referred to, so nn.Module must not register them.
    _student: Any
    _teacher: Any

    def __init__(
        self,
        student: BaseDetector,
        teacher: BaseDetector,
        neck_weight: Pair | None = None,
        roi_weight: Pair | None = None,
        mask_weight: Pair | None = None,
        rpn_weight: Pair | None = None,
        rpn_prediction_weight: Pair | None = None,
        region_weight: Pair | None = None,
        hidden_weight: Pair | None = None,
        prediction_weight: Pair | None = None,
        assistant_weight: float = 1.0,
        detach_guidance: bool = False,
        count_outside: bool = True,
        box_frame: str = "image",
    ) -> None:
        super().__init__()
        check_cskd_two_stage(student, teacher)
        object.__setattr__(self, "_student", student)
        object.__setattr__(self, "_teacher", teacher)
        self._frames = frames_of(box_frame)
        switches = Switches(detach_guidance, count_outside)
        neck = neck_weights(neck_weight, roi_weight, mask_weight, _MAPS)
        levels = len(student.rpn_head.prior_generator.strides)
        widths = (int(student.rpn_head.in_channels), int(teacher.rpn_head.in_channels))
        looks_at_neck = any(any(weights) for weights in neck)
        self.neck = NeckBlock(levels, widths, neck, True, switches) if looks_at_neck else None
        self.proposals = ProposalBlock(
            student.rpn_head,
            teacher.rpn_head,
            weight_pair("rpn_weight", rpn_weight, _MAPS),
            weight_pair("rpn_prediction_weight", rpn_prediction_weight, _MAPS),
            assistant_weight,
            switches,
        )
        self.regions = RegionBlock(
            student.roi_head,
            teacher.roi_head,
            RegionWeights(
                weight_pair("region_weight", region_weight, _MAPS),
                weight_pair("hidden_weight", hidden_weight, _VECTORS),
                weight_pair("prediction_weight", prediction_weight, _VECTORS),
                assistant_weight,
            ),
            switches,
        )
        if not (looks_at_neck or self.proposals.has_losses or self.regions.has_losses):
            raise RecipeError("CSKD: all weights are 0; give one of neck_weight, prediction_weight, or drop the method")

    def student_taps(self) -> dict[str, nn.Module]:
        return {_TAP: self._student.rpn_head.rpn_conv}

    def teacher_taps(self) -> dict[str, nn.Module]:
        return {_TAP: self._teacher.rpn_head.rpn_conv}

    def losses(self, student: View, teacher: View, assignment: TwoStageAssignment, batch: Batch) -> LossDict:
        annotated = Annotated.on(batch.boxes, self._frames(batch), teacher.features)
        losses: dict[str, Tensor | Levels] = {}
        if self.neck is not None:
            compared = self.neck(student.features, teacher.features, annotated)
            losses |= {name: torch.stack(levels).mean() for name, levels in compared.items()}
        mine, known = (Proposed(_activated(view.taps[_TAP]), view.predictions) for view in (student, teacher))
        losses |= self.proposals(self._student.rpn_head, mine, known, annotated.areas, assignment)
        if self.regions.has_losses:
            losses |= self._second_stage(student, teacher, assignment, batch)
        return {f"loss_{name}_kd": value for name, value in losses.items()}

    def _second_stage(
        self, student: View, teacher: View, assignment: TwoStageAssignment, batch: Batch
    ) -> dict[str, Tensor]:
        theirs, labels, judged, pooled = self._look(teacher, assignment, batch)
        at_theirs = pool(self._student.roi_head, student.features, theirs.rois)
        pairs = {"student": (assignment.pooled, pooled["student"]), "teacher": (at_theirs, pooled["teacher"])}
        return self.regions(self._student.roi_head.bbox_head, pairs, judged, labels)

    @torch.no_grad()
    def _look(
        self, teacher: View, assignment: TwoStageAssignment, batch: Batch
    ) -> tuple[Regions, Tensor, Judged, dict[str, Tensor]]:
        roi = self._teacher.roi_head
        found = propose(self._teacher.rpn_head, teacher.predictions, batch.samples, proposal_config(self._student))
        # Sampling draws random numbers; the student's own draws and its images stay those of its twin.
        with torch.random.fork_rng(devices=[]):
            theirs = sample_regions(roi, found, batch.samples, teacher.features)
        labels, *_ = roi.bbox_head.get_targets(theirs.sampled, roi.train_cfg)
        pooled = {"teacher": pool(roi, teacher.features, theirs.rois)}
        pooled["student"] = pool(roi, teacher.features, assignment.regions.rois)
        return theirs, labels, judge(roi.bbox_head, pooled["teacher"]), pooled


def _activated(maps: Sequence[Tensor]) -> Levels:
    # The RPN applies its activation outside its convolution.
    return [F.relu(level) for level in maps]
