"""RoIAlign over a feature pyramid as one operator with one meaning in PyTorch and in an exported graph.

Each region is read from the level of its size, so how many regions a level gets depends on the data. As an operator of
its own it is exported in the form that ``deploy/graph/translations.py`` gives it, instead of being traced.
"""

import torch
from torch import Tensor
from torchvision.ops import roi_align


@torch.library.custom_op("deploy::pyramid_roi_align", mutates_args=())
def pyramid_roi_align(
    features: list[Tensor],
    rois: Tensor,
    levels: Tensor,
    scales: list[float],
    height: int,
    width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """Average RoIAlign of each region on its level: [R, C, height, width].

    Source: He et al., Mask R-CNN, section 3; ``aligned`` moves the samples by half a cell, as detectron2 does.

    Args:
        features: [N, C, h, w] of each level.
        rois: [R, 5], image index and x1, y1, x2, y2 in pixels. A region of no size gives zeros.
        levels: [R] int64, index into ``features``.
        scales: cells per pixel of each level.
        height, width: size of the output.
        sampling_ratio: samples per output cell and side; 0 takes as many as the region spans cells.
        aligned: see above.
    """
    pooled = features[0].new_zeros((len(rois), features[0].shape[1], height, width))
    for level, (maps, scale) in enumerate(zip(features, scales, strict=True)):
        members = (levels == level).nonzero().flatten()
        pooled[members] = roi_align(maps, rois[members], (height, width), scale, sampling_ratio, aligned)
    return pooled


@pyramid_roi_align.register_fake
def _(
    features: list[Tensor], rois: Tensor, levels: Tensor, scales: list[float], height: int, width: int, *_: object
) -> Tensor:
    return features[0].new_empty((rois.shape[0], features[0].shape[1], height, width))
