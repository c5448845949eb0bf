"""RoIAlign (arXiv 1703.06870) of all annotated boxes, as CSKD compares them."""

import torch
from torch import Tensor
from torchvision.ops import roi_align

_BINS = 7
_SAMPLES = 2


def pooled(maps: Tensor, regions: Tensor) -> Tensor:
    """RoIAlign of regions in cells (``aligned``, two samples a bin and axis).

    Torchvision's kernel for CPUs adds up gradients one after another on one core, which took a quarter of a step. There
    it is computed as what it is, a product of matrices: bilinear samples on a grid are linear in the rows and in the
    columns of a map.

    Args:
        maps: ``[N, C, H, W]``.
        regions: ``[K, 5]``, the index of the image in front, those of an image one after another in their order.

    Returns:
        ``[K, C, 7, 7]``.
    """
    if maps.is_cuda:
        return roi_align(maps, regions, _BINS, spatial_scale=1.0, sampling_ratio=_SAMPLES, aligned=True)
    images, channels, height, width = maps.shape
    counts = regions[:, 0].long().bincount(minlength=images)
    # Images with fewer boxes than the fullest one are filled up with empty ones.
    taken = torch.arange(int(counts.max()), device=maps.device) < counts[:, None]
    boxes = regions.new_zeros(*taken.shape, 4).masked_scatter(taken[..., None], regions[:, 1:].contiguous())
    columns = bin_weights(boxes[..., 0], boxes[..., 2], width).flatten(1, 2)
    rows = bin_weights(boxes[..., 1], boxes[..., 3], height)
    across = columns[:, None] @ maps.permute(0, 2, 3, 1)  # [N, H, K 7, C]
    across = across.unflatten(2, (-1, _BINS)).transpose(1, 2).flatten(3)  # [N, K, H, 7 C]
    bins = (rows @ across)[taken].unflatten(2, (_BINS, channels))
    return bins.permute(0, 3, 1, 2)


def bin_weights(low: Tensor, high: Tensor, length: int) -> Tensor:
    """How much each cell of an axis counts in each bin of intervals: ``[..., 7, length]``.

    Args:
        low, high: ends of the intervals in cells, where cell 0 reaches from 0 to 1.
        length: cells of the axis. A sample more than one cell outside of it is 0; nearer ones are those of the border.
    """
    count = _BINS * _SAMPLES
    steps = (torch.arange(count, device=low.device, dtype=low.dtype) + 0.5) / count
    samples = low[..., None] - 0.5 + (high - low)[..., None] * steps
    inside = (samples >= -1) & (samples <= length)
    distances = (
        torch.arange(length, device=low.device, dtype=low.dtype) - samples.clamp(0, length - 1)[..., None]
    ).abs()
    weights = (1 - distances).clamp(min=0) * inside[..., None]
    return weights.unflatten(-2, (_BINS, _SAMPLES)).mean(-2)
