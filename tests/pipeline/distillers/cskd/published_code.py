"""From the published CSKD code's configurations and names (mmdet 2.22) to this project's objects.

The published code's names appear here and nowhere else.
"""

import re
from typing import Any

import numpy as np
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from pipeline.distillers import Distiller, build_methods
from tests.pipeline.distillers.golden import Arrays

DETECTORS = {"CSKDHeadRetina": "RetinaNet", "CSKDHeadFCOS": "FCOS", "CSKDHeadGFL": "GFL"}
HEADS = {"CSKDHeadRetina": "RetinaHead", "CSKDHeadFCOS": "FCOSHead", "CSKDHeadGFL": "GFLHead"}
METHOD_KEYS = (
    "is_teacher",
    "kd_weight",
    "loss_kdcls",
    "kd_costhresh",
    "use_conv_for_mimic",
    "kd_neck_weight",
    "kd_brnch_weight",
    "kd_pred_weight",
)

LOSSES = {
    "loss_kdcls": "loss_pred_cls_kd",
    "loss_kdbbox": "loss_pred_reg_kd",
    "loss_kdcenterness": "loss_pred_center_kd",
    "loss_assis_cls": "loss_assist_cls_kd",
    "loss_assis_bbox": "loss_assist_reg_kd",
    "loss_assis_dfl": "loss_assist_dfl_kd",
    "loss_assis_centerness": "loss_assist_center_kd",
    "loss_neck": "loss_neck_kd",
    "loss_nkroi": "loss_neck_roi_kd",
    "loss_roi": "loss_neck_roi_kd",
    "loss_nkfg": "loss_neck_fg_kd",
    "loss_nfg": "loss_neck_fg_kd",
    "loss_nkbg": "loss_neck_bg_kd",
    "loss_nbg": "loss_neck_bg_kd",
    "loss_brcls": "loss_tower_cls_kd",
    "loss_brnchcls": "loss_tower_cls_kd",
    "loss_brreg": "loss_tower_reg_kd",
    "loss_brnchreg": "loss_tower_reg_kd",
    "loss_rpn_kdhead": "loss_rpn_tower_kd",
    "loss_rpn_kdcls": "loss_rpn_pred_cls_kd",
    "loss_rpn_kdbbox": "loss_rpn_pred_reg_kd",
    "loss_rpn_assist_cls": "loss_rpn_assist_cls_kd",
    "loss_rpn_assist_bbox": "loss_rpn_assist_reg_kd",
    "loss_nkroi_st": "loss_region_student_kd",
    "loss_nkroi_tch": "loss_region_teacher_kd",
    "loss_headfeat": "loss_hidden_kd",
    "loss_assist_cls": "loss_assist_cls_kd",
    "loss_assist_bbox": "loss_assist_reg_kd",
}

PARAMETERS = (
    (r"bbox_head\.distill_neck\.(\d+)\.mimic_conv\.(.+)", r"methods.0.neck.adapters.\1.\2"),
    (r"bbox_head\.distill_brnch_(\w+)\.(\d+)\.mimic_conv\.(.+)", r"methods.0.towers.\1.adapters.\2.\3"),
    (r"bbox_head\.assis_(.+)", r"methods.0.assistant.\1"),
    (r"rpn_head\.distill_neck\.(\d+)\.mimic_conv\.(.+)", r"methods.0.neck.adapters.\1.\2"),
    (r"rpn_head\.distill_head\.(\d+)\.mimic_conv\.(.+)", r"methods.0.proposals.features.adapters.\1.0.\2"),
    (r"rpn_head\.assist_rpn_(.+)", r"methods.0.proposals.assistant.\1"),
    (r"roi_head\.bbox_head\.assist_fc_(.+)", r"methods.0.regions.assistant.\1"),
    (r"roi_head\.bbox_head\.distill_roi\.mimic_conv_st_rois\.(.+)", r"methods.0.regions.features.student.\1"),
    (r"roi_head\.bbox_head\.distill_roi\.mimic_conv_tch_rois\.(.+)", r"methods.0.regions.features.teacher.\1"),
    (r"roi_head\.bbox_head\.distill_head\.(\d+)\.mimic_linear\.(.+)", r"methods.0.regions.hidden.\1.\2"),
    (r"(.+)", r"student.\1"),
)


def our_loss(name: str) -> str:
    """This project's key of a published loss; the detector's own losses keep theirs."""
    return LOSSES.get(name, name)


def our_parameter(name: str) -> str:
    """The name in this project's distiller of a parameter of the published student."""
    for pattern, replacement in PARAMETERS:
        if re.fullmatch(pattern, name):
            return re.sub(pattern, replacement, name)
    raise AssertionError(name)


def stock(config: dict[str, Any]) -> BaseDetector:
    """The stock detector of a published student's or teacher's configuration."""
    register_all_modules(init_default_scope=True)
    if "roi_head" in config:
        return MODELS.build(ConfigDict(_stock_part(config) | {"type": "FasterRCNN"}))
    head = dict(config["bbox_head"])
    kind = head["type"]
    head = {key: value for key, value in head.items() if key not in METHOD_KEYS} | {"type": HEADS.get(kind, kind)}
    train = dict(config["train_cfg"])
    if head["type"] == "RetinaHead":
        train["sampler"] = {"type": "PseudoSampler"}
    if head["type"] == "FCOSHead":
        train = None
    model = config | {"type": DETECTORS.get(kind, config["type"]), "bbox_head": head, "train_cfg": train}
    return MODELS.build(ConfigDict(model))


def _stock_part(part: Any) -> Any:
    """A configuration without what CSKD adds to it, and with the stock types in place of its own."""
    if not isinstance(part, dict):
        return part
    stock_keys = {key: _stock_part(value) for key, value in part.items() if key not in METHOD_KEYS}
    if "type" in stock_keys:
        stock_keys["type"] = stock_keys["type"].removeprefix("dist_")
    return stock_keys


def two_stage_method(extra: dict[str, Any]) -> dict[str, Any]:
    """The recipe of this project's CSKD for a published Faster R-CNN; the second stage's weights are fixed there."""
    first = ("neck_weight", "roi_weight", "mask_weight", "rpn_weight", "rpn_prediction_weight")
    pair = extra.get("rpn_kd_weight", [1.0, 0.5])
    return {"type": "CSKD"} | dict.fromkeys(first, pair)


def method(head: dict[str, Any]) -> dict[str, Any]:
    """The recipe of this project's CSKD that a published student's head asks for."""
    neck, roi, mask = head["kd_neck_weight"]
    reg, cls = head["kd_brnch_weight"]
    focal = head.get("loss_kdcls", {})
    recipe = {
        "type": "CSKD",
        "neck_weight": neck,
        "roi_weight": roi,
        "mask_weight": mask,
        "reg_branch_weight": reg,
        "cls_branch_weight": cls,
        "prediction_weight": head["kd_pred_weight"],
        **{name: focal[name] for name in ("gamma", "alpha") if name in focal},
    }
    if head["type"] == "CSKDHeadFCOS":
        adapts = head.get("use_conv_for_mimic", True)
        recipe |= {"neck_adapt": adapts, "branch_adapt": adapts}
    return recipe


def distiller(config: dict[str, Any], arrays: Arrays, **changes: Any) -> Distiller:
    """The distiller of a case with its weights; modules that the published code never uses are not there."""
    student, teacher = stock(config["student"]), stock(config["teacher"])
    _load(teacher, _state(arrays, "teacher"), unused=())
    two_stage = "roi_head" in config["student"]
    recipe = two_stage_method(config["extra"]) if two_stage else method(config["student"]["bbox_head"])
    methods = build_methods([recipe | changes], student, teacher)
    wrapped = Distiller(student, teacher, methods)
    state = {our_parameter(name): value for name, value in _state(arrays, "student").items()}
    _load(wrapped, state, unused=("methods.0.towers.",))
    return wrapped.train()


def give_proposals(detector: BaseDetector, proposals: list[np.ndarray]) -> None:
    """Let an RPN propose these boxes and scores ``[n, 5]``, one array an image, whatever it predicts."""

    def stored(*_: object, **__: object) -> list[InstanceData]:
        return [
            InstanceData(bboxes=boxes[:, :4], scores=boxes[:, 4], labels=torch.zeros(len(boxes), dtype=torch.long))
            for boxes in map(torch.from_numpy, proposals)
        ]

    object.__setattr__(detector.rpn_head, "predict_by_feat", stored)


def batch(images: torch.Tensor, metas: list[dict[str, Any]], arrays: Arrays) -> dict[str, Any]:
    """The normalised and padded images with their boxes."""
    samples = []
    for index, meta in enumerate(metas):
        info = {name: tuple(value) for name, value in meta.items() if name != "scale_factor"}
        sample = DetDataSample(metainfo=info | {"img_path": str(index), "ori_shape": tuple(meta["img_shape"])})
        sample.gt_instances = InstanceData(
            bboxes=torch.from_numpy(arrays[f"gt_bboxes.{index}"]),
            labels=torch.from_numpy(arrays[f"gt_labels.{index}"]),
        )
        samples.append(sample)
    return {"inputs": images.float(), "data_samples": samples}


def _load(module: torch.nn.Module, state: dict[str, torch.Tensor], unused: tuple[str, ...]) -> None:
    missing, unexpected = module.load_state_dict(state, strict=False)
    # A constant of GFL, which the files do not hold.
    assert all(name.endswith("bbox_head.integral.project") for name in missing), missing
    assert all(name.startswith(unused) for name in unexpected), unexpected


def _state(arrays: Arrays, who: str) -> dict[str, torch.Tensor]:
    state = {
        name.removeprefix(f"{who}/"): torch.from_numpy(value)
        for name, value in arrays.items()
        if name.startswith(f"{who}/")
    }
    return {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
