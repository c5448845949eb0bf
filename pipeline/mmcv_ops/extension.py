"""The module that stands in the place of mmcv's compiled one.

mmdet imports ``mmcv.ops``, which needs the extension module ``mmcv._ext``. mmcv-lite ships without it, and no wheel of
the full mmcv exists for current torch versions. :class:`TorchvisionOps` stands in its place with torchvision's
operators (CPU and CUDA); :mod:`pipeline.mmcv_extension` offers it where no full mmcv is installed.

Source of the signatures: the calls of ``ext_module`` in ``mmcv/ops/*.py`` of mmcv 2.1.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from pipeline.mmcv_ops import attention, box_suppression, deformable, focal_loss, roi_pooling

OPERATORS: tuple[Callable[..., Any], ...] = (
    attention.ms_deform_attn_backward,
    attention.ms_deform_attn_forward,
    box_suppression.bbox_overlaps,
    box_suppression.nms,
    box_suppression.nms_match,
    box_suppression.softnms,
    deformable.deform_conv_backward_input,
    deformable.deform_conv_backward_parameters,
    deformable.deform_conv_forward,
    deformable.modulated_deform_conv_backward,
    deformable.modulated_deform_conv_forward,
    focal_loss.sigmoid_focal_loss_backward,
    focal_loss.sigmoid_focal_loss_forward,
    roi_pooling.roi_align_backward,
    roi_pooling.roi_align_forward,
    roi_pooling.roi_pool_backward,
    roi_pooling.roi_pool_forward,
)
"""What is provided, each by mmcv's name of it."""


class TorchvisionOps(ModuleType):
    """Stand-in for ``mmcv._ext``: every operator that is not provided raises an error when it is called."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "torchvision's kernels behind mmcv's operator names")
        for operator in OPERATORS:
            setattr(self, operator.__name__, operator)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            raise NotImplementedError(
                f"mmcv's operator '{name}' has no torchvision counterpart in pipeline/mmcv_ops. "
                "Install a full mmcv with compiled operators (https://mmcv.readthedocs.io, 'Build MMCV from source'), "
                "or use a detector that does not need it."
            )

        return missing
