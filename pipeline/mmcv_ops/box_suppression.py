"""Overlaps of boxes, and NMS by them, in mmcv's signatures. Source: ``mmcv/ops/nms.py`` and ``bbox.py`` of mmcv 2.1.

``offset`` is 0, or 1 for the convention of early detectors that a box from x to x is one pixel wide.
"""

import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

NAIVE, LINEAR, GAUSSIAN = range(3)
"""``method`` of :func:`softnms`."""


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the kept boxes, by falling score. ``boxes`` [n, 4] xyxy, ``scores`` [n].

    Raises:
        NotImplementedError: ``offset`` is not 0 (the +1 pixel convention of early detectors).
    """
    if offset != 0:
        raise NotImplementedError("nms with offset=1 is not provided by torchvision; use offset=0 or a full mmcv")
    return torchvision_nms(boxes.float(), scores.float(), float(iou_threshold))


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    *,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """NMS that lowers the scores of what overlaps a taken box, and takes the best remaining one each time.

    What falls below ``min_score`` is dropped. ``boxes`` [n, 4] xyxy, ``scores`` [n], both on the CPU; the boxes taken
    go with their lowered scores into the first rows of ``dets`` [n, 5].
    Source: Bodla et al., Soft-NMS, section 3; the naive method gives what overlaps by ``iou_threshold`` the score 0.

    Returns:
        Indices of the boxes taken, in this order.
    """
    left, lowered = torch.arange(len(scores)), scores.clone()
    taken: list[int] = []
    while len(left):
        best = int(lowered[left].argmax())
        box = int(left[best])
        dets[len(taken)] = torch.cat([boxes[box], lowered[box, None]])
        taken.append(box)
        left = torch.cat([left[:best], left[best + 1 :]])
        overlaps = _overlaps(boxes[box], boxes[left], offset)
        lowered[left] *= _remaining(overlaps, method, iou_threshold, sigma)
        left = left[lowered[left] >= min_score]
    return torch.tensor(taken, dtype=torch.long)


def _remaining(overlaps: Tensor, method: int, iou_threshold: float, sigma: float) -> Tensor:
    """What a score is multiplied by, of its box's IoU with the taken one."""
    if method == GAUSSIAN:
        return torch.exp(-overlaps.square() / sigma)
    lower = 1 - overlaps if method == LINEAR else torch.zeros_like(overlaps)
    return torch.where(overlaps >= iou_threshold, lower, 1.0)


def nms_match(dets: Tensor, *, iou_threshold: float) -> list[list[int]]:
    """Groups of boxes: each begins with one that NMS keeps, those that it suppresses follow, by falling score.

    ``dets`` [n, 5] xyxy and score, on the CPU. A box goes that overlaps by ``iou_threshold`` or more.
    """
    left = torch.argsort(dets[:, 4], descending=True, stable=True)
    groups: list[list[int]] = []
    while len(left):
        kept, others = left[0], left[1:]
        suppressed = _overlaps(dets[kept, :4], dets[others, :4], 0) >= iou_threshold
        groups.append([int(kept), *others[suppressed].tolist()])
        left = others[~suppressed]
    return groups


def bbox_overlaps(first: Tensor, second: Tensor, ious: Tensor, *, mode: int, aligned: bool, offset: int) -> None:
    """IoU (``mode`` 0), or intersection over the first box (1), of ``first`` [m, 4] and ``second`` [n, 4], xyxy.

    Into ``ious`` [m, n], or [m] of each pair of rows if ``aligned``. 0 where there is nothing to divide by.
    """
    ious.copy_(_overlaps(first if aligned else first[:, None], second, offset, of_first=mode == 1))


def _overlaps(first: Tensor, second: Tensor, offset: int, of_first: bool = False) -> Tensor:
    sides = torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2]) + offset
    shared = sides.clamp(min=0).prod(dim=-1)
    areas = [(boxes[..., 2:] - boxes[..., :2] + offset).prod(dim=-1) for boxes in (first, second)]
    whole = areas[0] if of_first else areas[0] + areas[1] - shared
    return shared / whole.clamp(min=offset or torch.finfo(whole.dtype).tiny)
