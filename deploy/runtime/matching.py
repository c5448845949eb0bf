"""Pairs of detections that mean the same object, from two lists of one image.

The rule: the first list's detections choose by falling score, each the not yet chosen detection of its class in the
second list with the highest IoU, at least :data:`MIN_IOU`.
"""

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.detections import Detections

MIN_IOU = 0.5


def match(reference: Detections, found: Detections) -> NDArray[np.int64]:
    """Index pairs [n, 2] of the two lists, no index twice."""
    overlaps = pairwise_iou(reference.boxes, found.boxes)
    overlaps[reference.labels[:, None] != found.labels[None]] = 0
    pairs = []
    for row in np.argsort(-reference.scores, kind="stable"):
        column = int(overlaps[row].argmax()) if len(found) else 0
        if len(found) and overlaps[row, column] >= MIN_IOU:
            pairs.append((int(row), column))
            overlaps[:, column] = 0
    return np.array(pairs, np.int64).reshape(-1, 2)


def pairwise_iou(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """IoU [n, m] of boxes [n, 4] and [m, 4] (x1, y1, x2, y2)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=-1)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=-1) for boxes in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, np.finfo(np.float32).tiny)
