"""A small stock Faster R-CNN for the distillers' tests."""

from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict

STRIDES = [4, 8, 16, 32, 64]
SAMPLER = {"type": "RandomSampler", "neg_pos_ub": -1}
NMS = {"nms": {"type": "nms", "iou_threshold": 0.7}, "min_bbox_size": 0, "nms_pre": 100, "max_per_img": 30}
TRAIN = {
    "rpn": {
        "assigner": {
            "type": "MaxIoUAssigner",
            "pos_iou_thr": 0.7,
            "neg_iou_thr": 0.3,
            "min_pos_iou": 0.3,
            "match_low_quality": True,
        },
        "sampler": SAMPLER | {"num": 64, "pos_fraction": 0.5, "add_gt_as_proposals": False},
        "allowed_border": -1,
        "pos_weight": -1,
        "debug": False,
    },
    "rpn_proposal": NMS,
    "rcnn": {
        "assigner": {
            "type": "MaxIoUAssigner",
            "pos_iou_thr": 0.5,
            "neg_iou_thr": 0.5,
            "min_pos_iou": 0.5,
            "match_low_quality": False,
        },
        "sampler": SAMPLER | {"num": 24, "pos_fraction": 0.25, "add_gt_as_proposals": True},
        "pos_weight": -1,
        "debug": False,
    },
}
TEST = {"rpn": NMS, "rcnn": {"score_thr": 0.05, "nms": {"type": "nms", "iou_threshold": 0.5}, "max_per_img": 20}}


def config(width: int = 16, hidden: int = 24, scale: int = 4, **changes: Any) -> ConfigDict:
    """Its configuration: ``width`` of the FPN, ``hidden`` of the second stage, ``scale`` of the anchors.

    ``changes`` go into the second stage's head, but ``train_cfg``.
    """
    train = changes.pop("train_cfg", TRAIN)
    model = {
        "type": "FasterRCNN",
        "data_preprocessor": {
            "type": "DetDataPreprocessor",
            "mean": [110.0] * 3,
            "std": [60.0] * 3,
            "pad_size_divisor": 32,
        },
        "backbone": {
            "type": "ResNet",
            "depth": 18,
            "base_channels": 8,
            "norm_cfg": {"type": "BN"},
            "norm_eval": True,
            "frozen_stages": -1,
        },
        "neck": {"type": "FPN", "in_channels": [8, 16, 32, 64], "out_channels": width, "num_outs": 5},
        "rpn_head": {
            "type": "RPNHead",
            "in_channels": width,
            "feat_channels": width,
            "anchor_generator": {
                "type": "AnchorGenerator",
                "scales": [scale],
                "ratios": [0.5, 1.0, 2.0],
                "strides": STRIDES,
            },
            "loss_bbox": {"type": "L1Loss"},
        },
        "roi_head": {
            "type": "StandardRoIHead",
            "bbox_roi_extractor": {
                "type": "SingleRoIExtractor",
                "roi_layer": {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0},
                "out_channels": width,
                "featmap_strides": STRIDES[:4],
                "finest_scale": 14,
            },
            "bbox_head": {
                "type": "Shared2FCBBoxHead",
                "in_channels": width,
                "fc_out_channels": hidden,
                "roi_feat_size": 7,
                "num_classes": 3,
                "loss_bbox": {"type": "L1Loss"},
                **changes,
            },
        },
        "train_cfg": train,
        "test_cfg": TEST,
    }
    return ConfigDict(model)


def make_faster(**changes: Any) -> BaseDetector:
    """Built with random weights that say something different at each place; see :func:`config`."""
    register_all_modules(init_default_scope=True)
    detector = MODELS.build(config(**changes))
    detector.init_weights()
    for part in (detector.rpn_head, detector.roi_head):
        for parameter in part.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.1)
    return detector
