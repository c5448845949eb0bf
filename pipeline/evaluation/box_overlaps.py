"""Boxes as columns, and which detections overlap which boxes of their image and class, and by how much."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.detection_columns import DetectionColumns

_PAIRS_AT_ONCE = 1 << 18


@dataclass(frozen=True)
class Boxes:
    """``N`` boxes.

    Attributes:
        place: ``[N]`` int, the entry that each is.
        image: ``[N]`` int, ids.
        category: ``[N]`` int, ids.
        corner: ``[N, 4]`` float, x, y, width, height in pixels.
        area: ``[N]`` float.
    """

    place: NDArray[np.int64]
    image: NDArray[np.int64]
    category: NDArray[np.int64]
    corner: NDArray[np.float64]
    area: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.place)

    def taken(self, order: NDArray[Any]) -> Self:
        """Those at ``order``, positions or a mask."""
        return replace(self, **{field.name: getattr(self, field.name)[order] for field in fields(self)})


@dataclass(frozen=True)
class TruthBoxes(Boxes):
    """Boxes to be found. ``crowd``: ``[N]`` bool, stands for many objects."""

    crowd: NDArray[np.bool_]


@dataclass(frozen=True)
class FoundBoxes(Boxes):
    """Detections. ``score``: ``[N]`` float."""

    score: NDArray[np.float64]

    @classmethod
    def of(cls, found: DetectionColumns) -> Self:
        """The same in the same order; their area is that of their box."""
        area = found.box[:, 2] * found.box[:, 3]
        return cls(np.arange(len(found)), found.image, found.category, found.box, area, found.score)


@dataclass(frozen=True)
class Overlaps:
    """``P`` pairs of a detection and a box of its image and class, by detection and then by box.

    Attributes:
        detection: ``[P]`` int, position.
        truth: ``[P]`` int, position.
        iou: ``[P]`` float; with a crowd, the share of the detection that lies in it.
    """

    detection: NDArray[np.int64]
    truth: NDArray[np.int64]
    iou: NDArray[np.float64]


def overlapping(truths: TruthBoxes, detections: FoundBoxes, least_iou: float) -> Overlaps:
    """The pairs whose IoU is at least ``least_iou``, which is above 0; both in any order."""
    of_truth, of_detection = _pictures_of_a_class(truths, detections)
    order = np.argsort(of_truth, kind="stable")
    first, end = (np.searchsorted(of_truth[order], of_detection, side) for side in ("left", "right"))
    counts = end - first
    parts = [Overlaps(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    for some in _parts(counts):
        detection = np.repeat(np.arange(some.start, some.stop), counts[some])
        # The place of each pair among those of its detection.
        ends = np.cumsum(counts[some])
        within = np.arange(len(detection)) - np.repeat(ends - counts[some], counts[some])
        truth = order[within + np.repeat(first[some], counts[some])]
        iou = intersection_over_union(detections.corner[detection], truths.corner[truth], truths.crowd[truth])
        enough = iou >= least_iou
        parts.append(Overlaps(detection[enough], truth[enough], iou[enough]))
    return Overlaps(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Overlaps)))


def intersection_over_union(
    detection: NDArray[np.float64], truth: NDArray[np.float64], crowd: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Of each pair ``[P, 4]`` (x, y, width, height), as ``pycocotools.mask.iou`` computes it, in every bit."""
    (x, y, width, height), (left, top, wide, high) = detection.T, truth.T
    across = np.minimum(x + width, left + wide) - np.maximum(x, left)
    down = np.minimum(y + height, top + high) - np.maximum(y, top)
    common = np.where((across > 0) & (down > 0), across * down, 0.0)
    area = width * height
    union = np.where(crowd, area, area + wide * high - common)
    return np.divide(common, union, out=np.zeros_like(common), where=common > 0)


def _pictures_of_a_class(truths: Boxes, detections: Boxes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """One number for the image and class of each."""
    _, image = np.unique(np.concatenate([truths.image, detections.image]), return_inverse=True)
    classes, category = np.unique(np.concatenate([truths.category, detections.category]), return_inverse=True)
    keys = image * len(classes) + category
    return keys[: len(truths)], keys[len(truths) :]


def _parts(counts: NDArray[np.int64]) -> Iterator[slice]:
    """Ranges of detections with about as many pairs each: all at once would be gigabytes where images are crowded."""
    ends = np.cumsum(counts)
    pairs = int(ends[-1]) if len(ends) else 0
    cuts = np.searchsorted(ends, np.arange(_PAIRS_AT_ONCE, pairs, _PAIRS_AT_ONCE))
    bounds = np.unique(np.concatenate([[0], cuts, [len(counts)]])).tolist()
    return (slice(start, stop) for start, stop in pairwise(bounds))
