"""Each adapter's towers and prediction layers are what the stock head does itself."""

from typing import Any

import pytest
import torch
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict

from pipeline.detectors import family_of
from pipeline.errors import RecipeError

STRIDES = [8, 16, 32]
ANCHORS = {"type": "AnchorGenerator", "ratios": [0.5, 1.0], "octave_base_scale": 8, "scales_per_octave": 1}
SQUARES = ANCHORS | {"ratios": [1.0]}
RANGES = ((-1, 64), (64, 128), (128, 1e8))
GROUPS = {"type": "GN", "num_groups": 4}
HEADS: list[dict[str, Any]] = [
    {"type": "GFLHead", "anchor_generator": SQUARES | {"strides": STRIDES}, "norm_cfg": GROUPS},
    {"type": "RetinaHead", "anchor_generator": ANCHORS | {"strides": STRIDES}},
    {"type": "ATSSHead", "anchor_generator": SQUARES | {"strides": STRIDES}, "norm_cfg": GROUPS},
    {"type": "FCOSHead", "strides": STRIDES, "regress_ranges": RANGES, "norm_cfg": GROUPS},
    {"type": "FCOSHead", "strides": STRIDES, "regress_ranges": RANGES, "norm_cfg": GROUPS, "norm_on_bbox": True},
    {"type": "FCOSHead", "strides": STRIDES, "regress_ranges": RANGES, "norm_cfg": GROUPS, "centerness_on_reg": True},
]


class Detector(SingleStageDetector):
    def __init__(self, head: dict[str, Any]) -> None:
        torch.nn.Module.__init__(self)
        register_all_modules(init_default_scope=True)
        shape = {"num_classes": 3, "in_channels": 8, "feat_channels": 8, "stacked_convs": 2}
        self.bbox_head = MODELS.build(ConfigDict(head | shape))
        for parameter in self.bbox_head.parameters():
            torch.nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("config", HEADS, ids=lambda config: "-".join([config["type"], *list(config)[4:]]))
def test_towers_and_layers_are_the_heads_forward(config: dict[str, Any], training: bool) -> None:
    torch.manual_seed(0)
    detector = Detector(config).train(training)
    head, family = detector.bbox_head, family_of(detector)
    features = [torch.randn(2, 8, size, size) for size in (4, 2, 1)]
    with torch.no_grad():
        wanted = family.predictions(head(features))
        for level, feature in enumerate(features):
            layers = family.layers(head, level)
            assert tuple(layers) == family.outputs == tuple(wanted[level])
            for name, layer in layers.items():
                value = feature
                for conv in family.towers(head)[layer.branch]:
                    value = conv(value)
                torch.testing.assert_close(layer.apply(value), wanted[level][name])


def test_an_unknown_head_is_named() -> None:
    detector = Detector({"type": "FreeAnchorRetinaHead", "anchor_generator": ANCHORS | {"strides": STRIDES}})
    with pytest.raises(RecipeError, match=r"no distillation adapter for FreeAnchorRetinaHead; known heads: .*ATSSHead"):
        family_of(detector)
