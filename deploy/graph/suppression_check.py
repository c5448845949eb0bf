"""Is a list of detections one that greedy NMS may keep of given candidates, up to rounding?

NMS is a choice, which a difference of 1e-7 between two scores turns over: of two boxes either one may suppress the
other, and what was kept in the one case is pixels away from what was kept in the other. So a graph that sums in
another order than PyTorch may rightly give another list. Such a list is recognised by what it is made of: candidates of
PyTorch's, none of which suppresses another, and that suppress or are all the others.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.artefact import ArtefactSpec
from deploy.runtime.detections import Detections
from deploy.runtime.matching import pairwise_iou

# Far above what rounding does to the box, score or overlap of one candidate (1e-4 px, 1e-6, 1e-5 measured).
SAME_BOX_PX = 0.01
SAME_SCORE = 1e-4
SAME_IOU = 1e-3


def kept_of(
    candidates: Detections, found: Detections, spec: ArtefactSpec, voted: Detections | None = None
) -> NDArray[np.int64] | None:
    """Index pairs [n, 2] of the candidates that ``found`` is made of, or None where NMS cannot have kept that list.

    ``candidates`` are all that NMS chooses from, both in pixels of the same image. A candidate may be missing from
    ``found`` where one of at least its score overlaps it, or where the list is full of higher scores. ``voted`` is what
    becomes of each candidate that NMS keeps, where that is another box.
    """
    shown = candidates if voted is None else voted
    alike = candidates.labels[:, None] == found.labels[None]
    higher = found.scores[None] - candidates.scores[:, None]
    distance = np.abs(shown.boxes[:, None] - found.boxes[None]).max(axis=-1)
    same = alike & (distance <= SAME_BOX_PX) & (np.abs(higher) <= SAME_SCORE)
    if not same.any(axis=0).all():
        return None
    nearest = np.where(same, distance, np.inf).argmin(axis=0) if len(found) else np.zeros(0, np.int64)
    kept = found if voted is None else replace(found, boxes=candidates.boxes[nearest])
    if _overlap_each_other(kept, spec):
        return None
    overlapping = pairwise_iou(candidates.boxes, kept.boxes) >= spec.nms_iou_threshold - SAME_IOU
    suppressed = (alike & overlapping & (higher >= -SAME_SCORE)).any(axis=1)
    needed = candidates.scores > _least_needed(found, spec) + SAME_SCORE
    if (needed & ~suppressed & ~same.any(axis=1)).any():
        return None
    return np.stack([nearest, np.arange(len(found))], axis=1)


def _overlap_each_other(found: Detections, spec: ArtefactSpec) -> bool:
    rivals = np.triu(found.labels[:, None] == found.labels[None], 1)
    return bool((rivals & (pairwise_iou(found.boxes, found.boxes) > spec.nms_iou_threshold + SAME_IOU)).any())


def _least_needed(found: Detections, spec: ArtefactSpec) -> float:
    full = len(found) >= spec.max_detections
    return max(spec.score_threshold, float(found.scores.min()) if full else 0.0)
