"""mmdet's detectors that no adapter knows, as small as they get, of 3 classes: Cascade R-CNN, CenterNet, DINO."""

from typing import Any

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from tests.pipeline.distillers.faster_rcnn import config as faster_rcnn

PREPROCESSOR = {
    "type": "DetDataPreprocessor",
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "bgr_to_rgb": True,
    "pad_size_divisor": 32,
}
BACKBONE = {"type": "ResNet", "depth": 18, "base_channels": 8, "out_indices": (1, 2, 3)}
ATTENTION = {"embed_dims": 256, "num_heads": 8, "dropout": 0.0}
"""As wide as published: mmdet's code has the width of DINO's queries as a number."""
LAYER = {
    "self_attn_cfg": {**ATTENTION, "num_levels": 4},
    "ffn_cfg": {"embed_dims": 256, "feedforward_channels": 16, "ffn_drop": 0.0},
}


def other_config(name: str) -> dict[str, Any]:
    """``model`` of a recipe: ``cascade``, ``centernet`` or ``dino``."""
    return {"cascade": _cascade, "centernet": _centernet, "dino": _dino}[name]()


def other_detector(name: str) -> BaseDetector:
    """The detector, with random weights."""
    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    detector = MODELS.build(ConfigDict(other_config(name)))
    detector.init_weights()
    if name == "centernet":
        torch.nn.init.constant_(detector.bbox_head.wh_head[-1].bias, 4.0)  # untrained boxes have no area
    return detector


def _cascade() -> dict[str, Any]:
    model = faster_rcnn(num_classes=3)
    head, assigned = model["roi_head"]["bbox_head"], model["train_cfg"]["rcnn"]
    model |= {"type": "CascadeRCNN", "data_preprocessor": PREPROCESSOR}
    model["roi_head"] |= {
        "type": "CascadeRoIHead",
        "num_stages": 2,
        "stage_loss_weights": [1, 0.5],
        "bbox_head": [{**head, "reg_class_agnostic": True} for _ in range(2)],
    }
    model["train_cfg"]["rcnn"] = [assigned, assigned]
    return model


def _centernet() -> dict[str, Any]:
    return {
        "type": "CenterNet",
        "data_preprocessor": PREPROCESSOR,
        "backbone": {**BACKBONE, "out_indices": (0, 1, 2, 3)},
        "neck": {"type": "CTResNetNeck", "in_channels": 64, "num_deconv_filters": (32, 16, 16),
                 "num_deconv_kernels": (4, 4, 4), "use_dcn": False},
        "bbox_head": {"type": "CenterNetHead", "num_classes": 3, "in_channels": 16, "feat_channels": 16},
        "test_cfg": {"topk": 20, "local_maximum_kernel": 3, "max_per_img": 20},
    }  # fmt: skip


def _dino() -> dict[str, Any]:
    return {
        "type": "DINO",
        "num_queries": 12,
        "with_box_refine": True,
        "as_two_stage": True,
        "data_preprocessor": PREPROCESSOR,
        "backbone": BACKBONE,
        "neck": {"type": "ChannelMapper", "in_channels": [16, 32, 64], "kernel_size": 1, "out_channels": 256,
                 "act_cfg": None, "norm_cfg": {"type": "GN", "num_groups": 32}, "num_outs": 4},
        "encoder": {"num_layers": 1, "layer_cfg": LAYER},
        "decoder": {
            "num_layers": 2,
            "return_intermediate": True,
            "layer_cfg": {**LAYER, "self_attn_cfg": ATTENTION, "cross_attn_cfg": {**ATTENTION, "num_levels": 4}},
            "post_norm_cfg": None,
        },
        "positional_encoding": {"num_feats": 128, "normalize": True, "offset": 0.0, "temperature": 20},
        "bbox_head": {"type": "DINOHead", "num_classes": 3, "sync_cls_avg_factor": True,
                      "loss_cls": {"type": "FocalLoss", "use_sigmoid": True}},
        "dn_cfg": {"label_noise_scale": 0.5, "box_noise_scale": 1.0,
                   "group_cfg": {"dynamic": True, "num_groups": None, "num_dn_queries": 10}},
        "train_cfg": {"assigner": {"type": "HungarianAssigner", "match_costs": [
            {"type": "FocalLossCost", "weight": 2.0},
            {"type": "BBoxL1Cost", "weight": 5.0, "box_format": "xywh"},
            {"type": "IoUCost", "iou_mode": "giou", "weight": 2.0},
        ]}},
        "test_cfg": {"max_per_img": 12},
    }  # fmt: skip


def annotated_batch() -> tuple[torch.Tensor, list[DetDataSample]]:
    """Two normalised 64 x 64 images with their samples, the second without boxes."""
    samples = []
    for boxes in ([[8.0, 8.0, 40.0, 40.0], [30.0, 20.0, 60.0, 44.0]], []):
        shapes = dict.fromkeys(("img_shape", "ori_shape", "pad_shape", "batch_input_shape"), (64, 64))
        sample = DetDataSample(
            metainfo={**shapes, "img_path": "a.png", "scale_factor": (1.0, 1.0), "border": (0, 64, 0, 64)}
        )
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4), labels=torch.arange(len(boxes), dtype=torch.long)
        )
        samples.append(sample)
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)), samples
