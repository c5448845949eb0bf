"""mmdet's dense heads, one a family: the table that a new family adds its row to. Widths are the tests' own."""

from typing import Any

STRIDES = [8, 16, 32, 64, 128]
SQUARES = {"type": "AnchorGenerator", "ratios": [1.0], "octave_base_scale": 8, "scales_per_octave": 1}
NINE = {"type": "AnchorGenerator", "ratios": [0.5, 1.0, 2.0], "octave_base_scale": 4, "scales_per_octave": 3}
POINTS = {"type": "MlvlPointGenerator", "offset": 0, "strides": STRIDES[:3]}
QUALITY_FOCAL = {"type": "QualityFocalLoss", "use_sigmoid": True}
FOCAL = {"type": "FocalLoss", "use_sigmoid": True}
GIOU = {"type": "GIoULoss", "loss_weight": 2.0}

HEADS: dict[str, dict[str, Any]] = {
    "GFL": {"type": "GFLHead", "anchor_generator": SQUARES | {"strides": STRIDES}, "loss_cls": QUALITY_FOCAL},
    "RetinaNet": {"type": "RetinaHead", "anchor_generator": NINE | {"strides": STRIDES}},
    "ATSS": {"type": "ATSSHead", "anchor_generator": SQUARES | {"strides": STRIDES}, "loss_bbox": GIOU},
    "FCOS": {"type": "FCOSHead", "strides": STRIDES},
    "RTMDet": {
        "type": "RTMDetSepBNHead",
        "anchor_generator": POINTS,
        "bbox_coder": {"type": "DistancePointBBoxCoder"},
        "loss_cls": QUALITY_FOCAL,
        "loss_bbox": GIOU,
        "with_objectness": False,
    },
    "YOLOX": {"type": "YOLOXHead", "strides": STRIDES[:3]},
    "VFNet": {"type": "VFNetHead", "strides": STRIDES},
    "TOOD": {
        "type": "TOODHead",
        "anchor_generator": SQUARES | {"strides": STRIDES},
        "loss_cls": QUALITY_FOCAL | {"activated": True},
        "loss_bbox": GIOU,
    },
    "PAA": {
        "type": "PAAHead",
        "anchor_generator": SQUARES | {"strides": STRIDES},
        "loss_cls": FOCAL,
        "loss_bbox": GIOU,
    },
    "DDOD": {
        "type": "DDODHead",
        "anchor_generator": SQUARES | {"strides": STRIDES},
        "loss_cls": FOCAL,
        "loss_bbox": GIOU,
    },
}
TOWERED = [family for family in HEADS if family != "TOOD"]
"""Families whose heads are gone through layer by layer."""
ASSIGNERS = {
    "RetinaNet": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.5, "neg_iou_thr": 0.4, "min_pos_iou": 0},
    "ATSS": {"type": "ATSSAssigner", "topk": 9},
    "RTMDet": {"type": "DynamicSoftLabelAssigner", "topk": 13},
    "YOLOX": {"type": "SimOTAAssigner", "center_radius": 2.5},
    "VFNet": {"type": "ATSSAssigner", "topk": 9},
    "DDOD": {"type": "ATSSAssigner", "topk": 9, "alpha": 0.8},
    "PAA": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.1, "neg_iou_thr": 0.1, "min_pos_iou": 0},
}
"""What ``train_cfg.assigner`` is where the family takes one."""
REG_ASSIGNERS = {"DDOD": {"type": "ATSSAssigner", "topk": 9, "alpha": 0.5}}
"""What ``train_cfg.reg_assigner`` is where boxes have one of their own."""


def levels(family: str) -> int:
    """How many maps the family's head reads."""
    head = HEADS[family]
    return len(head["strides"] if "strides" in head else head["anchor_generator"]["strides"])


def in_evaluation(distiller: Any) -> Any:
    """The distiller in evaluation; VFNet's head gives what its own losses need in training alone."""
    distiller.eval()
    distiller.student.bbox_head.training = type(distiller.student.bbox_head).__name__ == "VFNetHead"
    return distiller
