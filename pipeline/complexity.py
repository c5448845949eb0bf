"""Size of a detector as it ships: parameters and floating-point operations of one image."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from mmdet.structures import DetDataSample
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pipeline.detectors import DetectorKind, dense_head, kind_of
from pipeline.records import Complexity

if TYPE_CHECKING:
    from mmdet.models import BaseDetector

logger = logging.getLogger(__name__)


def measure_complexity(detector: "BaseDetector", input_size: tuple[int, int]) -> Complexity:
    """Count the parameters of a detector and the FLOPs of its network for one image.

    The FLOPs are those of backbone, neck and heads, counted by torch's ``FlopCounterMode`` on the operators that run:
    convolutions and matrix products, a multiply-add as two. Normalisation, activations, RoIAlign, the sampling of
    deformable attention and post-processing are left out, as is usual. A second stage is counted for
    ``model.test_cfg.rpn.max_per_img`` regions, each stage of a cascade anew.

    Args:
        detector: an mmdet detector without its teacher; its mode and weights are not changed.
        input_size: height and width in pixels.

    Returns:
        The counts; FLOPs are None where no way through the network alone is known, and the log says why.

    Raises:
        RecipeError: it is no detector.
    """
    kind_of(detector)
    parameters = list(detector.parameters())
    images = torch.zeros(1, 3, *input_size, device=parameters[0].device, dtype=parameters[0].dtype)
    modes = {module: module.training for module in detector.modules()}
    detector.eval()
    try:
        flops = _count(detector, images)
    finally:
        for module, training in modes.items():
            module.training = training
    return Complexity(parameters=sum(parameter.numel() for parameter in parameters), flops=flops, input_size=input_size)


def run_on_paper(detector: Any, images: Tensor) -> None:
    """Run of a detector in evaluation what works without values: backbone, neck, dense head, heads of regions.

    Args:
        images: normalised, ``[N, 3, H, W]``, on a device without memory.
    """
    if _has_known_way(detector):
        _run_known(detector, images)
    else:
        detector.extract_feat(images)


def _has_known_way(detector: Any) -> bool:
    """Whether heads are called alike in all detectors of its kind, and as often for every image."""
    if kind_of(detector) is DetectorKind.TWO_STAGE:
        # By exact class names: a subclass may call its heads in another way.
        rpn, roi = (type(part).__name__ for part in (detector.rpn_head, detector.roi_head))
        return rpn == "RPNHead" and roi in ("StandardRoIHead", "CascadeRoIHead")
    return kind_of(detector) is DetectorKind.SINGLE_STAGE


def _count(detector: Any, images: Tensor) -> int | None:
    if _has_known_way(detector):
        return _flops(partial(_run_known, detector, images))
    name = type(detector).__name__
    if kind_of(detector) is DetectorKind.TWO_STAGE:
        logger.warning("the FLOPs of a %s are not counted: how its second stage is called is not known", name)
        return None
    try:
        return _flops(partial(_run_whole, detector, images))
    except Exception as error:  # whatever the detector's code stumbles over
        logger.warning("the FLOPs of a %s are not counted: %s: %s", name, type(error).__name__, error)
        return None


def _flops(run: Callable[[], None]) -> int:
    fast_attention = torch.backends.mha.get_fastpath_enabled()
    # Fused attention hides its matrix products from the counter.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            run()
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_attention)
    return int(counter.get_total_flops())


def _run_known(detector: Any, images: Tensor) -> None:
    dense_head(detector)(detector.extract_feat(images))
    if kind_of(detector) is DetectorKind.TWO_STAGE:
        roi = detector.roi_head
        regions = detector.rpn_head.test_cfg.max_per_img
        for head, extractor in zip(_each(roi.bbox_head), _each(roi.bbox_roi_extractor), strict=True):
            size = extractor.roi_layers[0].output_size
            head(images.new_zeros((regions, extractor.out_channels, *size)))


def _run_whole(detector: Any, images: Tensor) -> None:
    shapes = dict.fromkeys(("img_shape", "ori_shape", "pad_shape", "batch_input_shape"), tuple(images.shape[-2:]))
    detector._forward(images, [DetDataSample(metainfo={**shapes, "scale_factor": (1.0, 1.0)})])


def _each(part: Any) -> list[Any]:
    return list(part) if isinstance(part, nn.ModuleList) else [part]
