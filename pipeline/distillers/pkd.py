"""PKD: the student's feature maps correlate with the teacher's, whatever their scale (arXiv 2207.02039)."""

from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from torch import nn

from pipeline.detectors import Batch, dense_head, family_of, is_two_stage
from pipeline.detectors.flow import LossDict
from pipeline.distillers.losses import standardised_distance
from pipeline.distillers.method import Method, View
from pipeline.distillers.preflight import check_features
from pipeline.errors import RecipeError


class PKD(Method):
    """Pearson-correlation distillation of every FPN output, alone or beside CrossKD.

    The heads take no part, so teacher and student may be of different families.

    Args:
        student, teacher: stock mmdet detectors with the same levels.
        weight: weight of each level's loss; not given it is the one published for the student's family beside
            CrossKD (GFL 6, RetinaNet 2, FCOS 2, ATSS 1); a two-stage student needs one.
        adapter: a 1x1 convolution from the student's FPN width to the teacher's, shared by the levels, trained with
            the student and dropped afterwards; needed where the widths differ.

    Raises:
        RecipeError: the pair does not fit (every mismatch is listed).
    """

    reads_predictions = False

    def __init__(
        self, student: BaseDetector, teacher: BaseDetector, weight: float | None = None, adapter: bool = False
    ) -> None:
        super().__init__()
        check_features(student, teacher, adapter, "PKD")
        if weight is None and is_two_stage(student):
            raise RecipeError(f"PKD: nothing is published for a {type(student).__name__}; give the method a weight")
        self.weight = family_of(student).published.feature_weight if weight is None else weight
        mine, known = (int(dense_head(detector).in_channels) for detector in (student, teacher))
        self.adapter: nn.Module = nn.Conv2d(mine, known, 1) if adapter else nn.Identity()

    def student_taps(self) -> dict[str, nn.Module]:
        return {}

    def teacher_taps(self) -> dict[str, nn.Module]:
        return {}

    def losses(self, student: View, teacher: View, assignment: Any, batch: Batch) -> LossDict:
        adapted = [self.adapter(level) for level in student.features]
        with torch.autocast(adapted[0].device.type, enabled=False):
            return {
                "loss_feat_kd": [
                    self.weight * standardised_distance(mine.float(), known.float())
                    for mine, known in zip(adapted, teacher.features, strict=True)
                ]
            }
