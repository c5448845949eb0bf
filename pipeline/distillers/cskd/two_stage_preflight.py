"""Checks before the first iteration of a two-stage pair; see :mod:`pipeline.distillers.preflight`."""

from collections.abc import Callable
from typing import Any

from mmdet.models.detectors.base import BaseDetector

from pipeline.detectors import DetectorKind, kind_of
from pipeline.detectors.faster_rcnn import other_parts
from pipeline.distillers.preflight import dense_findings, differ, refuse

_SAME: list[tuple[str, Callable[[Any], Any]]] = [
    ("bbox_head.num_classes", lambda roi: roi.bbox_head.num_classes),
    ("bbox_head.reg_class_agnostic", lambda roi: roi.bbox_head.reg_class_agnostic),
    ("bbox_head.bbox_coder", lambda roi: (type(roi.bbox_head.bbox_coder).__name__, vars(roi.bbox_head.bbox_coder))),
    ("number of shared linear layers", lambda roi: len(roi.bbox_head.shared_fcs)),
    ("roi_layer.output_size", lambda roi: tuple(roi.bbox_roi_extractor.roi_layers[0].output_size)),
]


def check_cskd_two_stage(student: BaseDetector, teacher: BaseDetector) -> None:
    """Whether features and predictions of both stages of the two can be compared.

    Raises:
        RecipeError: lists every mismatch with both sides and what to change.
    """
    sides = {"student": student, "teacher": teacher}
    for who, detector in sides.items():
        if kind_of(detector) is not DetectorKind.TWO_STAGE:
            name = type(detector).__name__
            cure = "choose a teacher of the student's detector family"
            refuse("CSKD", [f"the {who} is a {name} without a second stage, the other one has two; {cure}"])
        refuse("CSKD", [_no_faster_rcnn(who, detector, part) for part in other_parts(detector)])
    findings = [found for who, detector in sides.items() for found in _unfit(who, detector)]
    if not findings:
        findings = dense_findings(student, teacher, "CSKD")
        findings += [
            found
            for what, read in _SAME
            for found in differ(what, read(student.roi_head), read(teacher.roi_head), "set the same in both roi_heads")
        ]
    if getattr(teacher, "train_cfg", None) is None or "rcnn" not in teacher.train_cfg:
        findings.append("the teacher has no train_cfg.rcnn, by which its proposals are sampled; keep it in its recipe")
    refuse("CSKD", findings)


def _no_faster_rcnn(who: str, detector: BaseDetector, part: str) -> str:
    found = f"the {who}, a {type(detector).__name__}, is no Faster R-CNN: {part}"
    return f"{found}. PKD, which compares FPN outputs alone, takes it"


def _unfit(who: str, detector: Any) -> list[str]:
    rpn, head = detector.rpn_head, detector.roi_head.bbox_head
    towers = ("shared_convs", "cls_convs", "cls_fcs", "reg_convs", "reg_fcs")
    unfit = {
        f"the {who}'s roi_head.bbox_head is a {type(head).__name__} with {name}; only shared linear layers are "
        "compared: use a Shared2FCBBoxHead": len(getattr(head, name, ())) > 0
        for name in towers
    }
    unfit |= {
        f"the {who}'s roi_head.bbox_head has no shared linear layer; use a Shared2FCBBoxHead": (
            len(getattr(head, "shared_fcs", ())) == 0
        ),
        f"the {who}'s rpn_head.loss_cls is a {type(rpn.loss_cls).__name__}; only CrossEntropyLoss with "
        "use_sigmoid=True takes the teacher's scores as targets": (
            type(rpn.loss_cls).__name__ != "CrossEntropyLoss" or not rpn.use_sigmoid_cls
        ),
        f"the {who}'s roi_head.bbox_head.loss_cls has channels of its own; use a CrossEntropyLoss": (
            head.custom_cls_channels
        ),
        f"the {who}'s reg_decoded_bbox is True; set it to False, as deltas are compared": (
            rpn.reg_decoded_bbox or head.reg_decoded_bbox
        ),
    }
    return [finding for finding, is_so in unfit.items() if is_so]
