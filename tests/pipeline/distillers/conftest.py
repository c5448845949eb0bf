"""Small pairs of every family for the distillers' tests."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import register_all_modules
from mmengine.config import Config, ConfigDict
from mmengine.structures import InstanceData

from pipeline.detectors.class_layers import class_layers
from tests.stock_heads import ASSIGNERS, HEADS, REG_ASSIGNERS, levels

Maker = Callable[..., BaseDetector]

TRAIN = {"allowed_border": -1, "pos_weight": -1, "debug": False}


@pytest.fixture(autouse=True)
def equal_weights() -> None:
    """Random weights are those of the test alone, whatever ran before it."""
    torch.manual_seed(0)


@pytest.fixture
def make_gfl() -> Maker:
    """Makes a small stock GFL; ``width`` is that of neck and head, keywords go into the head."""
    return _make_gfl


@pytest.fixture
def make_detector() -> Maker:
    """Makes a small stock detector of a family whose prediction layers say something different at each place."""
    return _make_detector


def _make_detector(family: str, width: int = 32, channels: int = 8, **head: Any) -> BaseDetector:
    if family == "GFL":
        detector = _make_gfl(width, channels, **head)
    else:
        config = _base(width, channels)
        config.type = family
        config.neck.num_outs = levels(family)
        shape = {"num_classes": 3, "in_channels": width, "feat_channels": width, "stacked_convs": 2}
        config.bbox_head = ConfigDict(HEADS[family] | shape | head)
        config.train_cfg = ConfigDict(TRAIN | {"assigner": ASSIGNERS[family]}) if family in ASSIGNERS else None
        if family in REG_ASSIGNERS:
            config.train_cfg.reg_assigner = ConfigDict(REG_ASSIGNERS[family])
        if family == "RetinaNet":
            config.train_cfg.sampler = ConfigDict(type="PseudoSampler")
        detector = _built(config)
    for parameter in detector.bbox_head.parameters():
        if parameter.ndim == 4:
            torch.nn.init.normal_(parameter, std=0.05)
    for name in class_layers(detector):
        torch.nn.init.constant_(detector.get_submodule(name).bias, -2.0)
    return detector


def _make_gfl(width: int = 32, channels: int = 8, **head: Any) -> BaseDetector:
    config = _base(width, channels)
    config.bbox_head = ConfigDict(config.bbox_head, in_channels=width, feat_channels=width, num_classes=3)
    config.bbox_head.update(head)
    return _built(config)


def _base(width: int, channels: int) -> ConfigDict:
    register_all_modules(init_default_scope=True)
    config = Config.fromfile("configs/_base_/student_gfl_r18w16.py").model
    config.backbone.base_channels = channels
    config.neck.update(in_channels=[2 * channels, 4 * channels, 8 * channels], out_channels=width)
    return config


def _built(config: ConfigDict) -> BaseDetector:
    detector = MODELS.build(config)
    detector.init_weights()
    return detector


@pytest.fixture
def batch() -> dict[str, Any]:
    """Two normalised 64 x 64 images, the second without boxes."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for boxes in ([[8.0, 8.0, 40.0, 40.0], [30.0, 20.0, 60.0, 44.0]], []):
        sample = DetDataSample(metainfo={"img_shape": (64, 64), "pad_shape": (64, 64), "img_path": "a.png"})
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor(boxes).reshape(-1, 4), labels=torch.arange(len(boxes), dtype=torch.long)
        )
        samples.append(sample)
    return {"inputs": torch.randn(2, 3, 64, 64, generator=generator), "data_samples": samples}
