"""PKD: the student's feature maps correlate with the teacher's, whatever their scale (arXiv 2207.02039)."""

from typing import Annotated, Any

import torch
from mmdet.models.detectors.base import BaseDetector
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.detectors import Batch
from pipeline.detectors.flow import LossDict
from pipeline.detectors.recorder import Taps
from pipeline.distillers.level_pairs import PAIRS_LOOK, LevelPair, WantedPairs
from pipeline.distillers.losses import standardised_distance
from pipeline.distillers.method import Method, View
from pipeline.distillers.method_settings import MethodSettings, Switch, Weight
from pipeline.distillers.preflight import check_features


class PKDSettings(MethodSettings):
    """Arguments of PKD in a recipe.

    Attributes:
        weight: of each level's loss.
        adapter: a 1x1 convolution from the student's FPN width to the teacher's, shared by the levels of equal widths;
            needed where the widths differ.
        levels: which FPN outputs are compared, by their strides in pixels, the student's first; where it is not given,
            those of equal strides.
    """

    weight: Weight = 2.0
    adapter: Switch = False
    levels: Annotated[WantedPairs, Field(description=PAIRS_LOOK)] = None


PUBLISHED: dict[str, dict[str, Any]] = {
    "GFL": {"weight": 6.0},
    "RetinaNet": {"weight": 2.0},
    "FCOS": {"weight": 2.0},
    "ATSS": {"weight": 1.0},
}
"""Beside CrossKD, in that method's released configurations."""


class PKD(Method):
    """Pearson-correlation distillation of FPN outputs, alone or beside another method.

    The heads take no part, so teacher and student may be any two detectors.

    Raises:
        RecipeError: the pair does not fit (every mismatch is listed).
    """

    settings_class = PKDSettings
    published = PUBLISHED
    settings: PKDSettings
    reads_heads = False

    def __init__(self, student: BaseDetector, teacher: BaseDetector, settings: PKDSettings) -> None:
        super().__init__(student, teacher, settings)
        self._pairs = check_features(student, teacher, settings.levels, settings.adapter, "PKD")
        adapted = dict.fromkeys(pair.widths for pair in self._pairs if settings.adapter)
        self.adapters = nn.ModuleDict({_name(widths): nn.Conv2d(*widths, 1) for widths in adapted})

    def student_taps(self) -> Taps:
        return {}

    def teacher_taps(self) -> Taps:
        return {}

    def losses(self, student: View, teacher: View, assignment: Any, batch: Batch) -> LossDict:
        adapted = [self._adapted(student.features[pair.student.place], pair) for pair in self._pairs]
        with torch.autocast(adapted[0].device.type, enabled=False):
            return {
                "loss_feat_kd": [
                    self.settings.weight * _distance(feature_s.float(), teacher.features[pair.teacher.place].float())
                    for feature_s, pair in zip(adapted, self._pairs, strict=True)
                ]
            }

    def _adapted(self, feature: Tensor, pair: LevelPair) -> Tensor:
        return self.adapters[_name(pair.widths)](feature) if self.settings.adapter else feature


def _distance(feature_s: Tensor, feature_t: Tensor) -> Tensor:
    """Of two float32 maps; the student's takes the size of the teacher's, as in the code of PKD's authors."""
    if feature_s.shape[-2:] != feature_t.shape[-2:]:
        feature_s = F.interpolate(feature_s, feature_t.shape[-2:], mode="bilinear")
    return standardised_distance(feature_s, feature_t)


def _name(widths: tuple[int, int]) -> str:
    return "{}_{}".format(*widths)
