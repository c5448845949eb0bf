"""Candidate selection and class-aware NMS with one meaning in PyTorch and in an exported graph.

PyTorch's own ``topk`` leaves the order of equal scores open and torchvision's NMS returns a list of data-dependent
length, so neither survives an export unchanged. The operators here fix both: equal scores are taken by rising index, as
ONNX ``TopK`` prescribes, and NMS answers with a mask of fixed shape. ``deploy/graph/translations.py`` holds their ONNX
forms.

The ONNX operator NonMaxSuppression still has a data-dependent shape inside, which TensorRT-RTX cannot build.
:func:`nms_keep_in_passes` is the portable form: elementwise operators and maxima of fixed shape, and no matrix product,
which TensorRT-RTX does not build in float32 for compute capability 7.5.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import nms


@torch.library.custom_op("deploy::top_candidates", mutates_args=())
def top_candidates(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` highest of ``scores`` [N, P] and their indices (int64), both [N, count], by falling score.

    Equal scores keep the order of their indices. ``count`` must not exceed P.
    """
    rows = [_stable_top(row, count) for row in scores]
    if not rows:
        return scores.new_zeros((0, count)), torch.zeros((0, count), dtype=torch.int64, device=scores.device)
    return torch.stack([values for values, _ in rows]), torch.stack([indices for _, indices in rows])


@top_candidates.register_fake
def _(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    shape = (scores.shape[0], count)
    return scores.new_empty(shape), scores.new_empty(shape, dtype=torch.int64)


def _stable_top(row: Tensor, count: int) -> tuple[Tensor, Tensor]:
    cut = row.topk(count).values[-1]
    above = (row > cut).nonzero().flatten()
    level = (row == cut).nonzero().flatten()[: count - len(above)]
    indices = torch.cat([above, level])
    values, order = row[indices].sort(descending=True, stable=True)
    return values, indices[order]


def best_candidates(scores: Tensor, limit: int, is_open: bool) -> tuple[Tensor, Tensor]:
    """The ``limit`` highest of ``scores`` [N, P] and their indices, or all P of them where there are fewer.

    Where P is open, as in a graph of dynamic size, the number is not: what is missing has score 0 and index 0.
    """
    if not is_open:
        return top_candidates(scores, min(limit, scores.shape[1]))
    values, indices = top_candidates(F.pad(scores, (0, limit)), limit)
    return values, torch.where(values > 0, indices, 0)


@torch.library.custom_op("deploy::nms_keep", mutates_args=())
def nms_keep(boxes: Tensor, scores: Tensor, labels: Tensor, num_classes: int, iou_threshold: float) -> Tensor:
    """Greedy class-aware NMS: mask [N, M] of the candidates that stay.

    A candidate stays when its score is above 0 and no staying candidate of its class, image and of a higher score
    overlaps it by an IoU above ``iou_threshold``; among equal scores the lower index counts as the higher score.
    ``boxes`` [N, M, 4] are x1, y1, x2, y2 in any unit, ``scores`` [N, M] are 0 where there is no candidate, ``labels``
    [N, M] are int64 in [0, ``num_classes``).

    Classes are suppressed one by one on the boxes as they are. The usual shift of every class by an offset (mmcv's and
    torchvision's ``batched_nms``) rounds the coordinates: 0.002 px at 80 classes on a 256 px canvas in float32.
    """
    keep = torch.zeros_like(scores, dtype=torch.bool)
    for image in range(len(scores)):
        present = (scores[image] > 0).nonzero().flatten()
        for label in labels[image, present].unique():
            members = present[labels[image, present] == label]
            kept = nms(boxes[image, members], scores[image, members], iou_threshold)
            keep[image, members[kept]] = True
    return keep


@nms_keep.register_fake
def _(boxes: Tensor, scores: Tensor, labels: Tensor, num_classes: int, iou_threshold: float) -> Tensor:
    return scores.new_empty(scores.shape, dtype=torch.bool)


def take_boxes(boxes: Tensor, places: Tensor) -> Tensor:
    """Rows ``places`` [N, M] of ``boxes`` [N, L, 4], image by image: [N, M, 4]."""
    return boxes.gather(1, places[..., None].expand(-1, -1, 4))


def nms_keep_in_passes(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float, passes: int) -> Tensor:
    """:func:`nms_keep` with tensors of fixed shape alone: the mask after ``passes`` rounds of suppression.

    Greedy NMS is the one fixed point of ``keep[j] = candidate[j] and no kept i suppresses j``, where i suppresses j if
    it outranks j (score, then index), shares its class and overlaps it. Iterated from "every candidate stays", each
    round settles the boxes one link further down a chain in which each box suppresses the next:

    - exact when no such chain has more than ``passes`` links;
    - otherwise, an even number of passes keeps all that greedy NMS keeps and may keep boxes that it suppresses, an odd
      number keeps nothing that it suppresses and may lose boxes: round after round the mask is an upper, then a lower
      bound of the exact one (suppression is antitone in the mask).

    Memory is quadratic: some matrices [N, M, M]. Source of the idea of iterating the matrix: Bolya et al., YOLACT,
    section 4 (Fast NMS, which is one pass).
    """
    present = scores > 0
    first, second = scores[:, :, None], scores[:, None, :]
    # Above the diagonal: row i comes before column j.
    earlier = torch.ones(scores.shape[1], scores.shape[1], dtype=torch.bool, device=scores.device).triu(1)
    outranks = (first > second) | ((first == second) & earlier)
    rivals = outranks & (labels[:, :, None] == labels[:, None, :]) & present[:, :, None]
    suppresses = (rivals & (pairwise_iou(boxes, boxes) > rounded_down(iou_threshold))).to(scores.dtype)
    keep = present
    for _ in range(passes):
        suppressed = (suppresses * keep[:, :, None]).amax(dim=1) > 0
        keep = present & ~suppressed
    return keep


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU [N, K, M] of boxes [N, K, 4] and [N, M, 4], with torchvision's formula and rounding; 0 without area."""
    low = torch.maximum(first[:, :, None, :2], second[:, None, :, :2])
    high = torch.minimum(first[:, :, None, 2:], second[:, None, :, 2:])
    sides = (high - low).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    area, other = ((boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1]) for boxes in (first, second))
    union = area[:, :, None] + other[:, None, :] - shared
    return shared / union.clamp(min=torch.finfo(first.dtype).tiny)


def rounded_down(threshold: float) -> float:
    """The largest float32 that is not above ``threshold``.

    torchvision compares a float32 IoU with a float64 threshold, ONNX with a float32 one. Rounded to nearest, an IoU of
    0.6 would count as above 0.6 in one and not in the other; rounded down, both decide alike for every float32 IoU.
    """
    nearest = np.float32(threshold)
    return float(nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf)))
