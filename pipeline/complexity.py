"""Size of a detector as it ships: parameters and floating-point operations of one image."""

from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from pipeline.errors import RecipeError
from pipeline.records import Complexity

if TYPE_CHECKING:
    from mmdet.models import BaseDetector


def measure_complexity(detector: "BaseDetector", input_size: tuple[int, int]) -> Complexity:
    """Count the parameters of a detector and the FLOPs of its network for one image.

    The FLOPs are those of backbone, neck and head (``extract_feat`` and ``bbox_head``), counted by torch's
    ``FlopCounterMode`` on the operators that run: convolutions and matrix products, a multiply-add as two.
    Normalisation, activations and post-processing are left out, as is usual.

    Args:
        detector: a single-stage mmdet detector without its teacher; its mode and weights are not changed.
        input_size: height and width in pixels.

    Raises:
        RecipeError: the detector has no dense head.
    """
    head = getattr(detector, "bbox_head", None)
    if head is None:
        raise RecipeError(f"{type(detector).__name__}: only single-stage detectors with a dense head are measured")
    parameters = list(detector.parameters())
    images = torch.zeros(1, 3, *input_size, device=parameters[0].device, dtype=parameters[0].dtype)
    training = detector.training
    detector.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        head(detector.extract_feat(images))
    detector.train(training)
    return Complexity(
        parameters=sum(parameter.numel() for parameter in parameters),
        flops=int(counter.get_total_flops()),
        input_size=input_size,
    )
