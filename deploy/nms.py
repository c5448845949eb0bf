"""Candidate selection and class-aware NMS as two operators with one meaning in PyTorch and in an exported graph.

PyTorch's own ``topk`` leaves the order of equal scores open and torchvision's NMS returns a list of data-dependent
length, so neither survives an export unchanged. The operators here fix both: equal scores are taken by rising index, as
ONNX ``TopK`` prescribes, and NMS answers with a mask of fixed shape. ``deploy/translations.py`` holds their ONNX forms.
"""

import torch
from torch import Tensor
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
