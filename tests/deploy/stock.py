"""Small stock mmdet detectors with random weights that find a lot, and the specification of their artefact."""

from collections.abc import Callable
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from torch import Tensor

from deploy.runtime.artefact import ArtefactSpec
from pipeline.detectors.class_layers import class_layers
from tests import stock_heads
from tests.stock_heads import levels

register_all_modules(init_default_scope=True)

SIZE = 128
GROUP_NORM = {"norm_cfg": {"type": "GN", "num_groups": 4}}
_SET: dict[str, dict[str, Any]] = {
    "GFL": GROUP_NORM,
    "ATSS": GROUP_NORM,
    "FCOS": GROUP_NORM | {"norm_on_bbox": True},
    "RTMDet": {"exp_on_reg": True},
    "YOLOX": {"act_cfg": {"type": "ReLU"}},
    "VFNet": GROUP_NORM,
    "PAA": GROUP_NORM,
    "DDOD": GROUP_NORM,
    "TOOD": GROUP_NORM,
}
HEADS: dict[str, dict[str, Any]] = {name: head | _SET.get(name, {}) for name, head in stock_heads.HEADS.items()}
DEFORMABLE = ["VFNet", "DDOD", "TOOD"]
"""Heads that need ONNX from opset 19 on, and of which no engine is built."""
CSPNEXT = {
    "backbone": {"type": "CSPNeXt", "widen_factor": 0.125, "deepen_factor": 0.1, "out_indices": (2, 3, 4)},
    "neck": {"type": "CSPNeXtPAFPN", "in_channels": [32, 64, 128], "out_channels": 16, "num_csp_blocks": 1},
}
"""Backbone and neck that RTMDet comes with."""
RELU = {"act_cfg": {"type": "ReLU"}}
DARKNET = {
    "backbone": {"type": "CSPDarknet", "widen_factor": 0.125, "deepen_factor": 0.1, "out_indices": (2, 3, 4), **RELU},
    "neck": {"type": "YOLOXPAFPN", "in_channels": [32, 64, 128], "out_channels": 16, "num_csp_blocks": 1, **RELU},
}
"""Backbone and neck that YOLOX comes with; random layers under SiLU leave too little of a picture, or too much."""
OWN_PARTS = {"RTMDet": CSPNEXT, "YOLOX": DARKNET}
PREPROCESSOR = {
    "type": "DetDataPreprocessor",
    "mean": [123.675, 116.28, 103.53],
    "std": [58.395, 57.12, 57.375],
    "bgr_to_rgb": True,
    "pad_size_divisor": 32,
}
TEST = {
    "nms_pre": 1000,
    "min_bbox_size": 0,
    "score_thr": 0.05,
    "nms": {"type": "nms", "iou_threshold": 0.6},
    "max_per_img": 100,
}


def spec(classes: int, **changes: Any) -> ArtefactSpec:
    values: dict[str, Any] = {
        "model": "tiny",
        "classes": tuple(f"class {index}" for index in range(classes)),
        "input_height": SIZE,
        "input_width": SIZE,
        "color_order": "bgr",
        "resize_rule": "letterbox",
        "pad_value": (104, 116, 124),
        "score_threshold": 0.05,
        "nms_iou_threshold": 0.6,
        "nms_passes": 0,
        "max_candidates": 1000,
        "max_detections": 100,
        "precision": "fp32",
        "recipe": "none",
        "recipe_sha256": "0" * 64,
        "weights_sha256": "1" * 64,
        "dataset": "none",
    }
    return ArtefactSpec(**{**values, **changes})


def stock_detector(family: str = "GFL", classes: int = 10, **changes: Any) -> Any:
    """An untrained detector whose random predictions spread over scores and box sizes."""
    torch.manual_seed(0)
    head = {"num_classes": classes, "in_channels": 16, "feat_channels": 16, "stacked_convs": 1, **HEADS[family]}
    config = {
        "type": family,
        "data_preprocessor": PREPROCESSOR,
        "backbone": {"type": "ResNet", "depth": 18, "base_channels": 8, "out_indices": (1, 2, 3)},
        "neck": {"type": "FPN", "in_channels": [16, 32, 64], "out_channels": 16, "num_outs": levels(family)},
        "bbox_head": head,
        "test_cfg": TEST,
        **OWN_PARTS.get(family, {}),
        **changes,
    }
    detector = MODELS.build(ConfigDict(config)).eval()
    for parameter in detector.bbox_head.parameters():
        if parameter.ndim == 4:
            torch.nn.init.normal_(parameter, std=0.15)
    for name in class_layers(detector):
        torch.nn.init.constant_(detector.get_submodule(name).bias, -4.5)
    _diversify(detector, family)
    if family in ("YOLOX", "TOOD", "PAA"):
        detector.bbox_head._bbox_post_process = _as_all_others(detector.bbox_head._bbox_post_process)
    return detector


def _diversify(detector: Any, family: str) -> None:
    head = detector.bbox_head
    if family == "RTMDet":
        _spread(detector, 1.26, {head.rtm_cls: 2.0, head.rtm_reg: 0.4})
    if family == "PAA":
        torch.nn.init.constant_(head.atss_cls.bias, -7.0)  # the root of a product is above its factors
    if family == "VFNet":
        for layer, deviation in ((head.vfnet_reg, 0.1), (head.vfnet_reg_refine, 0.1), (head.vfnet_cls, 0.3)):
            torch.nn.init.normal_(layer.weight, std=deviation)
        torch.nn.init.constant_(head.vfnet_reg.bias, -1.8)  # boxes of a sixth of what the level is for
    if family == "YOLOX":
        _spread(detector, 0.85, {head.multi_level_conv_cls: 0.7, head.multi_level_conv_obj: 0.3})
        for layer in head.multi_level_conv_obj:
            torch.nn.init.constant_(layer.bias, 2.0)


def _spread(detector: Any, norm: float, deviations: dict[Any, float]) -> None:
    """SiLU leaves nothing of a picture after so many layers, and too much with norms that are a little larger."""
    for module in detector.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, norm)
    for layers, deviation in deviations.items():
        for layer in layers:
            torch.nn.init.normal_(layer.weight, std=deviation)


def _as_all_others(post_process: Callable[..., Any]) -> Callable[..., Any]:
    """With what mmdet's other heads and artefacts do.

    Boxes end at the border, which YOLOX's and TOOD's need not, ``max_per_img`` holds, boxes without area are dropped
    and the list is in order of scores, PAA's is not.
    """

    def post_processed(
        results: Any, cfg: Any, rescale: bool = False, with_nms: bool = True, img_meta: Any = None
    ) -> Any:
        height, width = img_meta["img_shape"]
        results.bboxes = results.bboxes.clamp(min=0).minimum(results.bboxes.new_tensor([width, height] * 2))
        kept = results[(results.bboxes[:, 2:] > results.bboxes[:, :2]).all(dim=1)]
        found = post_process(results=kept, cfg=cfg, rescale=rescale, with_nms=with_nms, img_meta=img_meta)
        return found[found.scores.argsort(descending=True, stable=True)][: cfg.max_per_img]

    return post_processed


def noise_images(count: int, height: int = SIZE, width: int = SIZE) -> Tensor:
    return torch.randint(
        0, 256, (count, height, width, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(count)
    )


RPN = {
    "type": "RPNHead",
    "anchor_generator": {
        "type": "AnchorGenerator",
        "scales": [8],
        "ratios": [0.5, 1.0, 2.0],
        "strides": [4, 8, 16, 32, 64],
    },
}
ROI_ALIGN = {"type": "RoIAlign", "output_size": 7, "sampling_ratio": 0}


def two_stage_detector(
    classes: int = 10,
    proposals: dict[str, Any] | None = None,
    roi_align: dict[str, Any] | None = None,
    levels: int = 5,
    **head: Any,
) -> Any:
    """An untrained stock Faster R-CNN whose random proposals and boxes spread over scores, levels and sizes.

    ``proposals`` changes ``test_cfg.rpn``, ``head`` the second stage's head; ``levels`` are those of the FPN, of which
    the second stage reads all but the last.
    """
    torch.manual_seed(0)
    strides = RPN["anchor_generator"]["strides"][:levels]
    anchors = {**RPN["anchor_generator"], "strides": strides}
    test = {"nms_pre": 300, "max_per_img": 100, "nms": {"type": "nms", "iou_threshold": 0.7}, "min_bbox_size": 0}
    config = {
        "type": "FasterRCNN",
        "data_preprocessor": PREPROCESSOR,
        "backbone": {"type": "ResNet", "depth": 18, "base_channels": 8, "out_indices": tuple(range(levels - 1))},
        "neck": {
            "type": "FPN",
            "in_channels": [8, 16, 32, 64][: levels - 1],
            "out_channels": 16,
            "num_outs": levels,
        },
        "rpn_head": {**RPN, "anchor_generator": anchors, "in_channels": 16, "feat_channels": 16},
        "roi_head": {
            "type": "StandardRoIHead",
            "bbox_roi_extractor": {
                "type": "SingleRoIExtractor",
                "roi_layer": {**ROI_ALIGN, **(roi_align or {})},
                "out_channels": 16,
                "featmap_strides": strides[:-1],
                # Small images: regions of 14 px and more reach the coarser levels.
                "finest_scale": 14,
            },
            "bbox_head": {
                "type": "Shared2FCBBoxHead",
                "in_channels": 16,
                "fc_out_channels": 32,
                "roi_feat_size": 7,
                "num_classes": classes,
                **head,
            },
        },
        "train_cfg": None,
        "test_cfg": {
            "rpn": {**test, **(proposals or {})},
            "rcnn": {"score_thr": TEST["score_thr"], "nms": TEST["nms"], "max_per_img": 5000},
        },
    }
    detector = MODELS.build(ConfigDict(config)).eval()
    for name, spread in (("rpn_cls", 1.0), ("rpn_reg", 0.3)):
        torch.nn.init.normal_(getattr(detector.rpn_head, name).weight, std=spread)
    bbox_head = detector.roi_head.bbox_head
    for layer, spread in (
        *((fc, 0.1) for fc in bbox_head.shared_fcs),
        (bbox_head.fc_cls, 0.4),
        (bbox_head.fc_reg, 1.0),
    ):
        torch.nn.init.normal_(layer.weight, std=spread)
    return detector
