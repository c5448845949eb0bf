"""Each adapter's towers and prediction layers are what the stock head does itself."""

from typing import Any

import pytest
import torch
from mmdet.models.detectors import SingleStageDetector
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict

from pipeline.detectors import family_of
from pipeline.detectors.recorder import record_outputs
from pipeline.errors import RecipeError
from tests import stock_heads

STRIDES = [8, 16, 32]
ANCHORS = {"type": "AnchorGenerator", "ratios": [0.5, 1.0], "octave_base_scale": 8, "scales_per_octave": 1}
GROUPS = {"norm_cfg": {"type": "GN", "num_groups": 4}}
ON_THREE_LEVELS: dict[str, dict[str, Any]] = {
    "GFL": {"anchor_generator": stock_heads.SQUARES | {"strides": STRIDES}} | GROUPS,
    "RetinaNet": {"anchor_generator": ANCHORS | {"strides": STRIDES}},
    "ATSS": {"anchor_generator": stock_heads.SQUARES | {"strides": STRIDES}} | GROUPS,
    "DDOD": {"anchor_generator": stock_heads.SQUARES | {"strides": STRIDES}} | GROUPS,
    "TOOD": {"anchor_generator": stock_heads.SQUARES | {"strides": STRIDES}} | GROUPS,
    "PAA": {"anchor_generator": stock_heads.SQUARES | {"strides": STRIDES}} | GROUPS,
    "FCOS": {"strides": STRIDES, "regress_ranges": ((-1, 64), (64, 128), (128, 1e8))} | GROUPS,
    "VFNet": {
        "strides": STRIDES,
        "regress_ranges": ((-1, 64), (64, 128), (128, 1e8)),
        "anchor_generator": stock_heads.SQUARES | {"strides": STRIDES, "center_offset": 0.0},
    }
    | GROUPS,
}
HEADS = {name: head | ON_THREE_LEVELS.get(name, {}) for name, head in stock_heads.HEADS.items()}
CASES: dict[str, dict[str, Any]] = {name: HEADS[name] for name in stock_heads.TOWERED} | {
    "FCOS in strides": HEADS["FCOS"] | {"norm_on_bbox": True},
    "FCOS with centerness beside the boxes": HEADS["FCOS"] | {"centerness_on_reg": True},
    "RTMDet with exponents": HEADS["RTMDet"] | {"exp_on_reg": True},
    "RTMDet with convolutions of its own": HEADS["RTMDet"] | {"share_conv": False},
    "RTMDet with depthwise convolutions": HEADS["RTMDet"] | {"share_conv": False, "use_depthwise": True},
    "YOLOX with depthwise convolutions": HEADS["YOLOX"] | {"use_depthwise": True},
    "DDOD without deformable convolutions": HEADS["DDOD"] | {"use_dcn": False},
    "VFNet in strides": HEADS["VFNet"] | {"bbox_norm_type": "stride"},
}


class Detector(SingleStageDetector):
    def __init__(self, head: dict[str, Any]) -> None:
        torch.nn.Module.__init__(self)
        register_all_modules(init_default_scope=True)
        shape = {"num_classes": 3, "in_channels": 8, "feat_channels": 8, "stacked_convs": 2}
        self.bbox_head = MODELS.build(ConfigDict(head | shape))
        for parameter in self.bbox_head.parameters():
            torch.nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_towers_and_layers_are_the_heads_forward(case: str, training: bool) -> None:
    torch.manual_seed(0)
    detector = Detector(CASES[case]).train(training)
    head, family = detector.bbox_head, family_of(detector)
    features = [torch.randn(2, 8, size, size) for size in (4, 2, 1)]
    with torch.no_grad():
        wanted = family.predictions(head(features))
        for level, feature in enumerate(features):
            layers = family.layers(head, level)
            assert tuple(layers) == family.outputs == tuple(wanted[level])
            last = {}
            for branch, tower in family.towers(head, level).items():
                last[branch] = feature
                for number in range(1, len(tower) + 1):
                    last[branch] = family.tower_layer(head, branch, number)[level](last[branch])
            for name, layer in layers.items():
                torch.testing.assert_close(layer.of(last), wanted[level][name])


@pytest.mark.parametrize("family", stock_heads.TOWERED)
def test_a_tap_gives_one_tensor_a_level(family: str) -> None:
    detector = Detector(HEADS[family]).eval()
    head, features = detector.bbox_head, [torch.randn(2, 8, size, size) for size in (4, 2, 1)]
    taps = {branch: family_of(detector).tower_layer(head, branch, 2) for branch in ("cls", "reg")}
    with torch.no_grad(), record_outputs(taps) as recorded:
        head(features)
    shapes = [level.shape for level in features]
    assert all([level.shape for level in levels] == shapes for levels in recorded.values())
    with torch.no_grad():
        for branch, levels in recorded.items():
            for level, found in enumerate(levels):
                first, second = family_of(detector).towers(head, level)[branch]
                torch.testing.assert_close(found, second(first(features[level])), rtol=0, atol=0)


def test_an_unknown_head_is_named() -> None:
    detector = Detector({"type": "FreeAnchorRetinaHead", "anchor_generator": ANCHORS | {"strides": STRIDES}})
    with pytest.raises(RecipeError, match=r"no distillation adapter for FreeAnchorRetinaHead; known heads: .*ATSSHead"):
        family_of(detector)
