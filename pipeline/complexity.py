"""Size of a detector as it ships: parameters and floating-point operations of one image."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pipeline.detectors import DetectorKind, dense_head, kind_of
from pipeline.records import Complexity

if TYPE_CHECKING:
    from mmdet.models import BaseDetector


def measure_complexity(detector: "BaseDetector", input_size: tuple[int, int]) -> Complexity:
    """Count the parameters of a detector and the FLOPs of its network for one image.

    The FLOPs are those of backbone, neck and heads, counted by torch's ``FlopCounterMode`` on the operators that run:
    convolutions and matrix products, a multiply-add as two. Normalisation, activations, RoIAlign and post-processing
    are left out, as is usual. A second stage is counted for ``model.test_cfg.rpn.max_per_img`` regions.

    Args:
        detector: an mmdet detector without its teacher; its mode and weights are not changed.
        input_size: height and width in pixels.

    Raises:
        RecipeError: the detector is of no known kind.
    """
    parameters = list(detector.parameters())
    images = torch.zeros(1, 3, *input_size, device=parameters[0].device, dtype=parameters[0].dtype)
    training = detector.training
    detector.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _run_network(detector, images)
    detector.train(training)
    return Complexity(
        parameters=sum(parameter.numel() for parameter in parameters),
        flops=int(counter.get_total_flops()),
        input_size=input_size,
    )


def _run_network(detector: Any, images: Tensor) -> None:
    dense_head(detector)(detector.extract_feat(images))
    if kind_of(detector) is DetectorKind.TWO_STAGE:
        extractor = detector.roi_head.bbox_roi_extractor
        size = extractor.roi_layers[0].output_size
        regions = detector.rpn_head.test_cfg.max_per_img
        detector.roi_head.bbox_head(images.new_zeros((regions, extractor.out_channels, *size)))
