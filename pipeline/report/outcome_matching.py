"""COCO's matching at one IoU threshold, for all images at once: which detection found a box, and which box was found.

The rule is that of ``COCOeval.evaluateImg`` (pycocotools) for boxes of all sizes and 100 detections an image and class.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_DETECTIONS = 100
_LARGEST_AREA = 1e5**2


@dataclass(frozen=True)
class Boxes:
    """``N`` boxes by image, class and then in their order: detections by falling score, annotations that count first.

    Attributes:
        place: ``[N]`` int, the entry that each is.
        image: ``[N]`` int, ids.
        category: ``[N]`` int, ids.
        corner: ``[N, 4]`` float, x, y, width, height in pixels.
        area: ``[N]`` float.
        crowd: ``[N]`` bool.
    """

    place: NDArray[np.int64]
    image: NDArray[np.int64]
    category: NDArray[np.int64]
    corner: NDArray[np.float64]
    area: NDArray[np.float64]
    crowd: NDArray[np.bool_]

    @property
    def ignored(self) -> NDArray[np.bool_]:
        """Those that count neither for nor against, ``[N]``."""
        return self.crowd | (self.area < 0) | (self.area > _LARGEST_AREA)


@dataclass(frozen=True)
class Matching:
    """Of detections, ``hit [D]``: found a box; ``left_out [D]``: counts for nothing. Of boxes, ``found [N]``."""

    hit: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    found: NDArray[np.bool_]


def annotated(entries: Sequence[dict[str, Any]]) -> Boxes:
    """Annotations in the order in which they are matched."""
    area = np.array([entry["area"] for entry in entries], np.float64)
    crowd = np.array([bool(entry["iscrowd"]) for entry in entries], np.bool_)
    boxes = _boxes(entries, area, crowd)
    return _taken(boxes, np.lexsort((boxes.ignored, boxes.category, boxes.image)))


def detected(entries: Sequence[dict[str, Any]]) -> Boxes:
    """Detections in the order in which they are matched, without those beyond the 100th of an image and class."""
    boxes = _boxes(entries, np.empty(len(entries)), np.zeros(len(entries), np.bool_))
    boxes.area[:] = boxes.corner[:, 2] * boxes.corner[:, 3]
    score = np.array([entry["score"] for entry in entries], np.float64)
    boxes = _taken(boxes, np.lexsort((-score, boxes.category, boxes.image)))
    changes = np.diff(boxes.image, prepend=-1).astype(bool) | np.diff(boxes.category, prepend=-1).astype(bool)
    changes[:1] = True
    starts = np.flatnonzero(changes)
    rank = np.arange(len(changes)) - np.repeat(starts, np.diff(starts, append=len(changes)))
    return _taken(boxes, np.flatnonzero(rank < _MOST_DETECTIONS))


def match(truths: Boxes, detections: Boxes, least_iou: float) -> Matching:
    """Give each detection, best score first, the free box of its class and image that it overlaps most.

    Of equal overlaps it is the last; one that is ignored only where no other is left. A crowd is always free.
    """
    detection, truth, overlap = _overlapping(truths, detections, least_iou)
    ignored, crowd = truths.ignored, truths.crowd
    found = np.zeros(len(truths.place), np.bool_)
    taken: dict[int, tuple[int, float]] = {}
    for number, box, iou in zip(detection.tolist(), truth.tolist(), overlap.tolist(), strict=True):
        best, most = taken.get(number, (-1, least_iou))
        if iou < most or (best >= 0 and ignored[box] and not ignored[best]) or (found[box] and not crowd[box]):
            continue
        if best >= 0:
            found[best] = False
        taken[number] = (box, iou)
        found[box] = True
    hit = np.zeros(len(detections.place), np.bool_)
    left_out = detections.ignored
    places = np.fromiter(taken, np.int64, len(taken))
    hit[places] = True
    left_out[places] = ignored[np.fromiter((box for box, _ in taken.values()), np.int64, len(taken))]
    return Matching(hit, left_out, found)


def _boxes(entries: Sequence[dict[str, Any]], area: NDArray[np.float64], crowd: NDArray[np.bool_]) -> Boxes:
    return Boxes(
        place=np.arange(len(entries)),
        image=np.array([entry["image_id"] for entry in entries], np.int64),
        category=np.array([entry["category_id"] for entry in entries], np.int64),
        corner=np.array([entry["bbox"] for entry in entries], np.float64).reshape(-1, 4),
        area=area,
        crowd=crowd,
    )


def _taken(boxes: Boxes, order: NDArray[np.int64]) -> Boxes:
    return Boxes(*(getattr(boxes, field.name)[order] for field in fields(Boxes)))


def _overlapping(
    truths: Boxes, detections: Boxes, least_iou: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Detection and box of every pair of one image and class that overlaps enough, in their orders, and how much."""
    of_truth, of_detection = _keys(truths, detections)
    first, end = (np.searchsorted(of_truth, of_detection, side) for side in ("left", "right"))
    counts = end - first
    detection = np.repeat(np.arange(len(of_detection)), counts)
    truth = np.arange(len(detection)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    overlap = _iou(detections.corner[detection], truths.corner[truth], truths.crowd[truth])
    enough = overlap >= least_iou
    return detection[enough], truth[enough], overlap[enough]


def _keys(truths: Boxes, detections: Boxes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One number for the image and class of each, which rises with them."""
    _, image = np.unique(np.concatenate([truths.image, detections.image]), return_inverse=True)
    classes, category = np.unique(np.concatenate([truths.category, detections.category]), return_inverse=True)
    keys = image * len(classes) + category
    return keys[: len(truths.image)], keys[len(truths.image) :]


def _iou(detection: NDArray[np.float64], truth: NDArray[np.float64], crowd: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Of each pair ``[P, 4]``; with a crowd, the share of the detection that lies in it, as in pycocotools."""
    start = np.maximum(detection[:, :2], truth[:, :2])
    sides = np.minimum(detection[:, :2] + detection[:, 2:], truth[:, :2] + truth[:, 2:]) - start
    common = np.where((sides > 0).all(axis=1), sides[:, 0] * sides[:, 1], 0.0)
    of_detection, of_truth = (box[:, 2] * box[:, 3] for box in (detection, truth))
    union = np.where(crowd, of_detection, of_detection + of_truth - common)
    return np.divide(common, union, out=np.zeros_like(common), where=common > 0)
