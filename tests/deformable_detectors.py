"""mmdet's detectors with deformable convolutions, and PAA, as small as they get, of 3 classes."""

from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict

from tests.other_detectors import BACKBONE, PREPROCESSOR

DCN = {
    "type": "ResNet",
    "depth": 50,
    "base_channels": 4,
    "zero_init_residual": False,
    "out_indices": (1, 2, 3),
    "dcn": {"type": "DCNv2", "deform_groups": 1, "fallback_on_stride": False},
    "stage_with_dcn": (False, True, True, True),
}
"""A backbone with deformable convolutions, which norms of 0 would leave without gradient; 32, 64, 128 channels."""
ANCHORS = {
    "anchor_generator": {"type": "AnchorGenerator", "ratios": [1.0], "octave_base_scale": 8, "scales_per_octave": 1,
                         "strides": [8, 16, 32, 64, 128]},
    "bbox_coder": {"type": "DeltaXYWHBBoxCoder", "target_stds": [0.1, 0.1, 0.2, 0.2]},
}  # fmt: skip
HEAD = {
    "num_classes": 3,
    "in_channels": 16,
    "feat_channels": 16,
    "stacked_convs": 2,
    "norm_cfg": {"type": "GN", "num_groups": 4},
    "loss_bbox": {"type": "GIoULoss", "loss_weight": 2.0},
}
FOCAL = {"type": "FocalLoss", "use_sigmoid": True}
QUALITY = {"type": "CrossEntropyLoss", "use_sigmoid": True}
ATSS = {"type": "ATSSAssigner", "topk": 9}
HEADS: dict[str, dict[str, Any]] = {
    "tood": {
        "type": "TOODHead", **HEAD, **ANCHORS, "anchor_type": "anchor_free",
        "initial_loss_cls": {**FOCAL, "activated": True},
        "loss_cls": {"type": "QualityFocalLoss", "use_sigmoid": True, "activated": True},
    },
    "vfnet": {
        "type": "VFNetHead", **HEAD, "strides": [8, 16, 32, 64, 128], "use_atss": True, "use_vfl": True,
        "loss_cls": {"type": "VarifocalLoss", "use_sigmoid": True, "iou_weighted": True},
        "loss_bbox_refine": {"type": "GIoULoss", "loss_weight": 2.0},
    },
    "ddod": {"type": "DDODHead", **HEAD, **ANCHORS, "loss_cls": FOCAL, "loss_iou": QUALITY},
    "paa": {"type": "PAAHead", **HEAD, **ANCHORS, "reg_decoded_bbox": True, "topk": 9, "loss_cls": FOCAL,
            "loss_centerness": QUALITY},
}  # fmt: skip
HEADS["dcn"] = HEADS["paa"] | {"type": "ATSSHead"}
HEADS["dcn"] = {key: value for key, value in HEADS["dcn"].items() if key != "topk"}
TRAIN: dict[str, dict[str, Any]] = {
    "tood": {
        "initial_epoch": 4,
        "initial_assigner": ATSS,
        "assigner": {"type": "TaskAlignedAssigner", "topk": 13},
        "alpha": 1,
        "beta": 6,
    },
    "ddod": {"assigner": {**ATSS, "alpha": 0.8}, "reg_assigner": {**ATSS, "alpha": 0.5}},
    "paa": {"assigner": {"type": "MaxIoUAssigner", "pos_iou_thr": 0.1, "neg_iou_thr": 0.1, "min_pos_iou": 0}},
}
TYPES = {"tood": "TOOD", "vfnet": "VFNet", "ddod": "DDOD", "paa": "PAA", "dcn": "ATSS"}


def deformable_detector(name: str) -> BaseDetector:
    """One of :data:`TYPES`, with random weights; ``dcn`` is an ATSS whose backbone is :data:`DCN`."""
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    config = {
        "type": TYPES[name],
        "data_preprocessor": PREPROCESSOR,
        "backbone": DCN if name == "dcn" else BACKBONE,
        "neck": {"type": "FPN", "in_channels": [32, 64, 128] if name == "dcn" else [16, 32, 64], "out_channels": 16,
                 "start_level": 0, "add_extra_convs": "on_output", "num_outs": 5},
        "bbox_head": HEADS[name],
        "train_cfg": {"assigner": ATSS, **TRAIN.get(name, {}), "allowed_border": -1, "pos_weight": -1, "debug": False},
        "test_cfg": {"nms_pre": 100, "min_bbox_size": 0, "score_thr": 0.0,
                     "nms": {"type": "nms", "iou_threshold": 0.6}, "max_per_img": 20},
    }  # fmt: skip
    detector = MODELS.build(ConfigDict(config))
    detector.init_weights()
    return detector
