"""PKD: the student's feature maps correlate with the teacher's, whatever their scale (arXiv 2207.02039)."""

from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from torch import nn

from pipeline.detectors import Batch, dense_head
from pipeline.detectors.flow import LossDict
from pipeline.detectors.recorder import Taps
from pipeline.distillers.losses import standardised_distance
from pipeline.distillers.method import Method, View
from pipeline.distillers.method_settings import MethodSettings, Switch, Weight
from pipeline.distillers.preflight import check_features


class PKDSettings(MethodSettings):
    """Arguments of PKD in a recipe.

    Attributes:
        weight: of each level's loss.
        adapter: a 1x1 convolution from the student's FPN width to the teacher's, shared by the levels; needed where
            the widths differ.
    """

    weight: Weight = 2.0
    adapter: Switch = False


PUBLISHED: dict[str, dict[str, Any]] = {
    "GFL": {"weight": 6.0},
    "RetinaNet": {"weight": 2.0},
    "FCOS": {"weight": 2.0},
    "ATSS": {"weight": 1.0},
}
"""Beside CrossKD, in that method's released configurations."""


class PKD(Method):
    """Pearson-correlation distillation of every FPN output, alone or beside another method.

    The heads take no part, so teacher and student may be of different families.

    Raises:
        RecipeError: the pair does not fit (every mismatch is listed).
    """

    settings_class = PKDSettings
    published = PUBLISHED
    settings: PKDSettings
    reads_predictions = False

    def __init__(self, student: BaseDetector, teacher: BaseDetector, settings: PKDSettings) -> None:
        super().__init__(student, teacher, settings)
        check_features(student, teacher, settings.adapter, "PKD")
        width_s, width_t = (int(dense_head(detector).in_channels) for detector in (student, teacher))
        self.adapter: nn.Module = nn.Conv2d(width_s, width_t, 1) if settings.adapter else nn.Identity()

    def student_taps(self) -> Taps:
        return {}

    def teacher_taps(self) -> Taps:
        return {}

    def losses(self, student: View, teacher: View, assignment: Any, batch: Batch) -> LossDict:
        adapted = [self.adapter(level) for level in student.features]
        with torch.autocast(adapted[0].device.type, enabled=False):
            return {
                "loss_feat_kd": [
                    self.settings.weight * standardised_distance(feature_s.float(), feature_t.float())
                    for feature_s, feature_t in zip(adapted, teacher.features, strict=True)
                ]
            }
