"""Parameters and FLOPs against a count by hand, and against the layers of a real detector."""

from typing import Any

import pytest
import torch
from mmdet.models.detectors import SingleStageDetector
from torch import Tensor, nn

from pipeline.complexity import measure_complexity
from pipeline.errors import RecipeError
from tests.other_detectors import other_detector


class Tiny(SingleStageDetector):
    """3 -> 8 channels with stride 2, a depthwise layer, and a 1 x 1 head over both."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.bbox_head = nn.Conv2d(8, 5, 1)

    def extract_feat(self, images: Tensor) -> Tensor:
        return self.depthwise(self.norm(self.stem(images)))


def test_equals_the_count_by_hand() -> None:
    complexity = measure_complexity(Tiny(), (32, 64))
    outputs = 16 * 32
    multiply_adds = outputs * (8 * 3 * 9 + 8 * 9 + 5 * 8)
    assert complexity.flops == 2 * multiply_adds
    assert complexity.parameters == (8 * 27 + 8) + (8 + 8) + 8 * 9 + (5 * 8 + 5)
    assert complexity.input_size == (32, 64)


def test_flops_follow_the_area_and_parameters_do_not() -> None:
    detector = Tiny()
    small, large = measure_complexity(detector, (32, 32)), measure_complexity(detector, (64, 64))
    assert large.flops == 4 * small.flops
    assert large.parameters == small.parameters


@pytest.mark.parametrize("training", [True, False])
def test_the_detector_stays_as_it_was(training: bool) -> None:
    detector = Tiny().train(training)
    before = {name: value.clone() for name, value in detector.state_dict().items()}
    measure_complexity(detector, (32, 32))
    assert detector.training is training
    assert all(torch.equal(before[name], value) for name, value in detector.state_dict().items())


def test_a_second_stage_counts_for_as_many_regions_as_there_are_proposals() -> None:
    from tests.deploy.stock import two_stage_detector

    few, many = (
        measure_complexity(two_stage_detector(classes=3, proposals={"max_per_img": count}), (64, 96))
        for count in (100, 300)
    )
    # 7 x 7 cells of 16 channels, two layers of 32, 3 + 1 scores and 3 * 4 sides.
    assert many.flops - few.flops == 200 * 2 * (7 * 7 * 16 * 32 + 32 * 32 + 32 * 4 + 32 * 12)
    assert many.parameters == few.parameters


def test_every_stage_of_a_cascade_counts_for_all_regions() -> None:
    few, many = other_detector("cascade"), other_detector("cascade")
    many.rpn_head.test_cfg.max_per_img = few.rpn_head.test_cfg.max_per_img + 100
    difference = measure_complexity(many, (64, 96)).flops - measure_complexity(few, (64, 96)).flops
    # 7 x 7 cells of 16 channels, two layers of 24, 3 + 1 scores and 4 sides, in two stages.
    assert difference == 2 * 100 * 2 * (7 * 7 * 16 * 24 + 24 * 24 + 24 * 4 + 24 * 4)


def test_a_transformers_products_are_counted() -> None:
    detector = other_detector("dino").train()
    counted: list[int] = []

    def count(layer: Any, _: object, output: Tensor) -> None:
        places = output.numel() // layer.weight.shape[0]
        counted.append(2 * places * layer.weight.numel())

    for layer in detector.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    complexity = measure_complexity(detector, (64, 64))
    # Of each decoder layer's attention between 12 queries: projections in and out, and two products.
    attention = 2 * 2 * (4 * 12 * 256 * 256 + 2 * 12 * 12 * 256)
    assert complexity.flops == sum(counted) + attention
    assert detector.training


def test_what_cannot_be_counted_is_none_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    detector = other_detector("cascade")
    detector.roi_head.__class__ = type("OwnRoIHead", (type(detector.roi_head),), {})
    assert measure_complexity(detector, (64, 64)).flops is None
    dino = other_detector("dino")
    dino.encoder = nn.Identity()
    assert measure_complexity(dino, (64, 64)).flops is None
    reasons = [record.getMessage() for record in caplog.records if "are not counted" in record.getMessage()]
    assert [reason.split(":")[0] for reason in reasons] == [
        "the FLOPs of a CascadeRCNN are not counted",
        "the FLOPs of a DINO are not counted",
    ]


def test_what_is_no_detector_is_refused() -> None:
    with pytest.raises(RecipeError, match="Linear is no detector"):
        measure_complexity(nn.Linear(2, 2), (32, 32))


def test_a_stock_detector_equals_its_convolutions_one_by_one() -> None:
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=True)
    detector = MODELS.build(
        {
            "type": "GFL",
            "backbone": {"type": "ResNet", "depth": 18, "base_channels": 8, "norm_cfg": {"type": "BN"}},
            "neck": {
                "type": "FPN",
                "in_channels": [8, 16, 32, 64],
                "out_channels": 16,
                "start_level": 1,
                "num_outs": 3,
            },
            "bbox_head": {
                "type": "GFLHead",
                "num_classes": 3,
                "in_channels": 16,
                "feat_channels": 16,
                "stacked_convs": 1,
                "norm_cfg": {"type": "GN", "num_groups": 4},
                "anchor_generator": {
                    "type": "AnchorGenerator",
                    "ratios": [1.0],
                    "octave_base_scale": 8,
                    "scales_per_octave": 1,
                    "strides": [8, 16, 32],
                },
                "loss_cls": {"type": "QualityFocalLoss", "use_sigmoid": True},
                "loss_bbox": {"type": "GIoULoss"},
                "loss_dfl": {"type": "DistributionFocalLoss"},
            },
        }
    ).eval()
    counted: list[int] = []

    def count(layer: nn.Conv2d, _: object, output: Tensor) -> None:
        area = output.shape[-2] * output.shape[-1]
        counted.append(2 * area * layer.weight.numel())

    for layer in detector.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(count)
    complexity = measure_complexity(detector, (64, 96))
    assert complexity.flops == sum(counted)
    assert complexity.parameters == sum(value.numel() for value in detector.parameters())
