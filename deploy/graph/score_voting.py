"""Score voting: boxes that NMS kept become means of the candidates around them, as PAA's own prediction has it.

Source: Kim and Lee, Probabilistic Anchor Assignment (arXiv 2007.08103), section 3.3, with the width of mmdet 3.3
(``PAAHead.score_voting``), which also leaves out candidates whose IoU is 0.01 and less.
"""

from dataclasses import replace

import torch
from torch import Tensor

from deploy.graph.nms import pairwise_iou
from deploy.runtime.detections import Detections

_LEAST_IOU = 0.01
_WIDTH = 0.025


def voted_boxes(boxes: Tensor, labels: Tensor, voters: Tensor, votes: Tensor, of: Tensor) -> Tensor:
    """Means of the voters of each box's class, weighed by their scores and how well they overlap it.

    No matrix product, which TensorRT-RTX does not build in float32 for compute capability 7.5.

    Args:
        boxes: kept by NMS, [N, K, 4] x1, y1, x2, y2.
        labels: their classes, [N, K].
        voters: all candidates, [N, M, 4].
        votes: their scores, [N, M]; 0 marks no candidate.
        of: their classes, [N, M].

    Returns:
        [N, K, 4]; 0 where a box has no voter, which one that is a candidate itself always has.
    """
    overlaps = pairwise_iou(boxes, voters)
    is_heard = (labels[:, :, None] == of[:, None]) & (overlaps > _LEAST_IOU)
    closeness = torch.exp(-((1 - overlaps) ** 2) / _WIDTH)
    weights = torch.where(is_heard, closeness * votes[:, None], 0.0)
    total = weights.sum(dim=2, keepdim=True).clamp(min=torch.finfo(boxes.dtype).tiny)
    return (weights[..., None] * voters[:, None]).sum(dim=2) / total


def voted_detections(candidates: Detections) -> Detections:
    """What becomes of each candidate of an image if NMS keeps it."""
    parts = (candidates.boxes, candidates.scores, candidates.labels)
    boxes, scores, labels = (torch.tensor(part)[None] for part in parts)
    voted = voted_boxes(boxes, labels, boxes, scores, labels)
    return replace(candidates, boxes=voted[0].numpy())
