"""Parts of mmdet's detectors in forms that can be traced: the results are the same.

Most count images as they run. A trace keeps such a count as the constant of its example, and the exported graph is
wrong at every other batch size.
"""

from collections.abc import Callable
from types import MethodType
from typing import Any

from mmcv.ops import DeformConv2d, DeformConv2dPack
from mmdet.models.backbones.swin import ShiftWindowMSA
from mmdet.models.dense_heads import TOODHead, VFNetHead
from torch import nn

from deploy.graph.sampling import sampled, sampled_by_itself
from deploy.graph.star import star_offsets
from deploy.graph.swin import window_reverse
from deploy.graph.task_aligned import task_aligned

_FORMS: dict[type[nn.Module], tuple[str, Callable[..., Any]]] = {
    ShiftWindowMSA: ("window_reverse", window_reverse),
    TOODHead: ("forward", task_aligned),
    VFNetHead: ("star_dcn_offset", star_offsets),
    # The first one that fits counts: a subclass stands before its base.
    DeformConv2dPack: ("forward", sampled_by_itself),
    DeformConv2d: ("forward", sampled),
}


def make_traceable(detector: nn.Module) -> None:
    """Give every such part its other form, in place."""
    for module in detector.modules():
        form = next((form for of, form in _FORMS.items() if isinstance(module, of)), None)
        if form is not None:
            method, replacement = form
            setattr(module, method, MethodType(replacement, module))
