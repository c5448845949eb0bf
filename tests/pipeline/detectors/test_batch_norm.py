"""Folding batch norm changes no output, whatever shares a convolution."""

from copy import deepcopy
from typing import Any

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from torch import nn

from pipeline.detectors.batch_norm import fold_batch_norm


def rtmdet_head(**changes: Any) -> nn.Module:
    register_all_modules(init_default_scope=True)
    shape = {"num_classes": 3, "in_channels": 8, "feat_channels": 8, "stacked_convs": 2}
    anchors = {"type": "MlvlPointGenerator", "offset": 0, "strides": [8, 16, 32]}
    coder = {"type": "DistancePointBBoxCoder"}
    config = {"type": "RTMDetSepBNHead", "anchor_generator": anchors, "bbox_coder": coder, "with_objectness": False}
    return MODELS.build(config | shape | changes)


def with_statistics(module: nn.Module) -> nn.Module:
    """The module in evaluation with batch norms that all differ."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for values in (part.weight.data, part.bias.data, part.running_mean):
                nn.init.normal_(values, 1.0, 0.3)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
    return module.eval()


@pytest.mark.parametrize("share_conv", [True, False])
def test_a_head_whose_levels_share_convolutions_predicts_as_before(share_conv: bool) -> None:
    head = with_statistics(rtmdet_head(share_conv=share_conv))
    assert (head.cls_convs[0][0].conv is head.cls_convs[2][0].conv) == share_conv
    features = [torch.randn(2, 8, size, size) for size in (8, 4, 2)]
    with torch.no_grad():
        wanted = head(features)
        got = fold_batch_norm(head)(features)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)
    assert not [part for part in head.modules() if isinstance(part, nn.BatchNorm2d)]


def test_a_layer_that_is_used_twice_is_folded_once() -> None:
    layer = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
    twice = with_statistics(nn.Sequential(layer, nn.ReLU(), layer))
    images = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        wanted = twice(images)
        torch.testing.assert_close(fold_batch_norm(deepcopy(twice))(images), wanted, rtol=1e-4, atol=1e-5)
