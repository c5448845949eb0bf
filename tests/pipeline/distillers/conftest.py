"""Small GFL pairs for the distillers' tests."""

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

Maker = Callable[..., BaseDetector]


@pytest.fixture
def make_gfl() -> Maker:
    """Makes a small stock GFL; ``width`` is that of neck and head, keywords go into the head."""

    def make(width: int = 32, channels: int = 4, **head: Any) -> BaseDetector:
        register_all_modules(init_default_scope=True)
        config = Config.fromfile("configs/_base_/student_gfl_r18w16.py").model
        config.backbone.base_channels = channels
        config.neck.update(in_channels=[2 * channels, 4 * channels, 8 * channels], out_channels=width)
        config.bbox_head = ConfigDict(config.bbox_head, in_channels=width, feat_channels=width, num_classes=3)
        config.bbox_head.update(head)
        detector = MODELS.build(config)
        detector.init_weights()
        return detector

    return make


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
