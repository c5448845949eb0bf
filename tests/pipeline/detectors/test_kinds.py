"""Which kind a detector is, for all that is distilled or exported."""

from typing import Any

import pytest
from mmdet.models.detectors import DETR, FCOS, YOLOX, CascadeRCNN, FasterRCNN, FastRCNN, RTMDet
from mmdet.models.detectors.base import BaseDetector
from torch import nn

from pipeline.detectors import KINDS, DetectorKind, dense_head, kind_of
from pipeline.errors import RecipeError


def detector(of: type[BaseDetector], *heads: str) -> Any:
    """A detector without anything but heads."""
    made = of.__new__(of)
    nn.Module.__init__(made)
    for head in heads:
        setattr(made, head, nn.Identity())
    return made


@pytest.mark.parametrize("of", [FCOS, RTMDet, YOLOX])
def test_a_dense_head_alone_is_single_stage(of: type[BaseDetector]) -> None:
    made = detector(of, "bbox_head")
    assert kind_of(made) is DetectorKind.SINGLE_STAGE
    assert dense_head(made) is made.bbox_head


@pytest.mark.parametrize("of", [FasterRCNN, CascadeRCNN])
def test_an_rpn_with_a_second_stage_is_two_stage(of: type[BaseDetector]) -> None:
    made = detector(of, "rpn_head", "roi_head")
    assert kind_of(made) is DetectorKind.TWO_STAGE
    assert dense_head(made) is made.rpn_head


def test_any_other_detector_is_of_another_kind_and_has_no_dense_head() -> None:
    made = detector(DETR, "bbox_head")
    assert kind_of(made) is DetectorKind.OTHER
    with pytest.raises(RecipeError, match=r"DETR has no head that predicts at every cell; PKD, .*, needs none"):
        dense_head(made)


def test_what_is_no_detector_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"Identity is no detector: .* choose one of mmdet\.models\.detectors"):
        kind_of(nn.Identity())


def test_a_missing_head_is_named() -> None:
    with pytest.raises(RecipeError, match="FastRCNN is a two-stage detector without rpn_head; known are two-stage"):
        dense_head(detector(FastRCNN, "roi_head"))


def test_a_class_can_be_registered_and_the_closest_entry_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, DETR, DetectorKind.SINGLE_STAGE)
    monkeypatch.setitem(KINDS, CascadeRCNN, DetectorKind.SINGLE_STAGE)
    assert kind_of(detector(DETR, "bbox_head")) is DetectorKind.SINGLE_STAGE
    assert kind_of(detector(CascadeRCNN, "bbox_head")) is DetectorKind.SINGLE_STAGE
    assert kind_of(detector(FasterRCNN, "rpn_head", "roi_head")) is DetectorKind.TWO_STAGE
