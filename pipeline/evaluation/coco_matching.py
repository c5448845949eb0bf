"""Which detection found which box: COCO's matching of every image, kept as arrays that can be accumulated many times.

Matching looks at one image at a time, so that it is the same in every resample of the images; only the accumulation
over images changes. It is that of ``COCOeval.evaluateImg`` (pycocotools), of which most is bookkeeping: an image and
class without a box needs no matching, and a detection that overlaps no box by half matches none.
"""

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from numpy.typing import NDArray
from pycocotools import mask

_IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
# An overlap counts that is no less; all but exact ones pass the reference's limit for a threshold of 1.
_LEAST_IOU = np.minimum(_IOU_THRESHOLDS, 1 - 1e-10)
_MOST_DETECTIONS = 100
_LARGEST_AREA = 1e5**2


@dataclass(frozen=True)
class ClassMatches:
    """Matches of one class: ``D`` detections by falling score, ties in the order of the images, ``I`` images.

    Attributes:
        image: ``[D]`` int, position of the detection's image among the sorted image ids.
        score: ``[D]`` float.
        matched: ``[10, D]`` bool, per IoU threshold: found a box (crowd boxes included).
        ignored: ``[10, D]`` bool, per IoU threshold: counts neither for nor against (it found a crowd box).
        boxes: ``[I]`` int, boxes to be found in each image.
    """

    image: NDArray[np.int64]
    score: NDArray[np.float64]
    matched: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    boxes: NDArray[np.int64]


def match_detections(ground_truth: COCO, detections: COCO) -> list[ClassMatches]:
    """Match detections and boxes of all sizes with at most 100 detections an image and class, as COCO's mAP does.

    Returns:
        One entry a class, in the order of the category ids.
    """
    images, categories = sorted(ground_truth.imgs), sorted(ground_truth.cats)
    places = _Places(images, categories)
    truths = _truths(ground_truth, places)
    boxes = np.zeros((len(categories), len(images)), dtype=np.int64)
    for (category, image), truth in truths.items():
        boxes[category, image] = np.count_nonzero(~truth.ignored)
    found = _strongest(detections, places)
    matched = np.zeros((len(_LEAST_IOU), len(found.score)), dtype=bool)
    # Of what finds no box, only a size that COCO does not know counts for nothing.
    ignored = np.repeat(_beyond_all_areas(found.box[:, 2] * found.box[:, 3])[None], len(_LEAST_IOU), axis=0)
    alone = _Alone()
    for pair, start, end in found.pairs():
        if pair not in truths:
            continue
        truth = truths[pair]
        overlaps = mask.iou(found.box[start:end], truth.box, truth.crowd)
        detection, box = np.nonzero(overlaps >= _LEAST_IOU[0])
        if truth.ignored.any() or (detection[1:] == detection[:-1]).any():
            hit, left_out = truth.match(overlaps)
            matched[:, start:end] = hit
            ignored[:, start:end] = np.where(hit, left_out, ignored[:, start:end])
        elif detection.size:
            alone.add(detection + start, box, overlaps[detection, box])
    alone.match(matched, ignored)
    ends = np.searchsorted(found.category, np.arange(len(categories) + 1))
    return [
        _class_matches(found, matched, ignored, slice(start, end), boxes[category])
        for category, (start, end) in enumerate(pairwise(ends))
    ]


class _Places:
    """Positions of image and category ids among the sorted ones."""

    def __init__(self, images: list[int], categories: list[int]) -> None:
        self.image = {number: place for place, number in enumerate(images)}
        self.category = {number: place for place, number in enumerate(categories)}


@dataclass(frozen=True)
class _Truth:
    """Boxes of one class in one image, those that count first: ``box [M, 4]``, ``crowd [M]``, ``ignored [M]``."""

    box: NDArray[np.float64]
    crowd: NDArray[np.bool_]
    ignored: NDArray[np.bool_]

    def match(self, overlaps: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Match detections by falling score, ``overlaps [d, M]``: which found a box, and which one that is ignored.

        Each takes the box that it overlaps most among those that are free, of equal overlaps the last; one that is
        ignored only where no other is left. A crowd box is always free. Both results are ``[10, d]``.
        """
        hit = np.zeros((len(_LEAST_IOU), len(overlaps)), dtype=bool)
        left_out = np.zeros_like(hit)
        free = np.ones((len(_LEAST_IOU), len(self.box)), dtype=bool)
        counted = np.count_nonzero(~self.ignored)
        for place in np.flatnonzero(overlaps.max(axis=1) >= _LEAST_IOU[0]):
            fitting = np.where(free & (overlaps[place] >= _LEAST_IOU[:, None]), overlaps[place], -1)
            found = _take_best(fitting[:, :counted], free[:, :counted], self.crowd[:counted])
            ignored = _take_best(
                np.where(found[:, None], -1, fitting[:, counted:]), free[:, counted:], self.crowd[counted:]
            )
            hit[:, place], left_out[:, place] = found | ignored, ignored
        return hit, left_out


def _take_best(overlaps: NDArray[np.float64], free: NDArray[np.bool_], crowd: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """For each threshold, whether one of the boxes fits (``overlaps [10, m]`` above -1); it is not ``free`` then."""
    if not overlaps.shape[1]:
        return np.zeros(len(overlaps), dtype=bool)
    best = overlaps.shape[1] - 1 - overlaps[:, ::-1].argmax(axis=1)
    found = overlaps.max(axis=1) >= 0
    thresholds = np.flatnonzero(found & ~crowd[best])
    free[thresholds, best[thresholds]] = False
    return found


class _Alone:
    """Detections that overlap one box by half, which is most of them; nothing else competes for those boxes.

    A box goes, at each threshold, to the first of its detections that reaches it. So a detection finds it at the
    thresholds up to its overlap, but for those up to the largest overlap of the ones before it.
    """

    def __init__(self) -> None:
        self._detections: list[NDArray[np.int64]] = []
        self._boxes: list[NDArray[np.int64]] = []
        self._overlaps: list[NDArray[np.float64]] = []
        self._count = 0

    def add(self, detections: NDArray[np.int64], boxes: NDArray[np.int64], overlaps: NDArray[np.float64]) -> None:
        """Add those of one image and class by falling score, all ``[d]``."""
        self._detections.append(detections)
        self._boxes.append(boxes + self._count)
        self._overlaps.append(overlaps)
        self._count += int(boxes.max()) + 1

    def match(self, matched: NDArray[np.bool_], ignored: NDArray[np.bool_]) -> None:
        """Write what they found into ``matched`` and ``ignored``, both ``[10, D]``."""
        if not self._detections:
            return
        detections, boxes = np.concatenate(self._detections), np.concatenate(self._boxes)
        reached = np.searchsorted(_LEAST_IOU, np.concatenate(self._overlaps), side="right")
        order = np.argsort(boxes, kind="stable")
        detections, boxes, reached = detections[order], boxes[order], reached[order]
        # A running maximum that begins anew with each box: more than any number of thresholds apart.
        apart = boxes * (len(_LEAST_IOU) + 1)
        before = np.zeros_like(reached)
        before[1:] = np.where(boxes[1:] == boxes[:-1], np.maximum.accumulate(reached + apart)[:-1] - apart[1:], 0)
        thresholds = np.arange(len(_LEAST_IOU))[:, None]
        hit = (thresholds >= before) & (thresholds < reached)
        matched[:, detections] = hit
        ignored[:, detections] &= ~hit


@dataclass(frozen=True)
class _Strongest:
    """Detections by class, then image, then falling score: positions ``[D]``, ``score [D]`` and ``box [D, 4]``."""

    category: NDArray[np.int64]
    image: NDArray[np.int64]
    score: NDArray[np.float64]
    box: NDArray[np.float64]

    def pairs(self) -> "list[tuple[tuple[int, int], int, int]]":
        """Every (category, image) with the range of its detections."""
        changes = (np.diff(self.category) != 0) | (np.diff(self.image) != 0)
        starts = np.concatenate([[0], np.flatnonzero(changes) + 1])[: len(self.score)]
        ends = np.append(starts[1:], len(self.score))
        names = zip(self.category[starts].tolist(), self.image[starts].tolist(), strict=True)
        return list(zip(names, starts.tolist(), ends.tolist()[: len(starts)], strict=True))


def _strongest(detections: COCO, places: _Places) -> _Strongest:
    entries = list(detections.anns.values())
    category = np.array([places.category[entry["category_id"]] for entry in entries], dtype=np.int64)
    image = np.array([places.image[entry["image_id"]] for entry in entries], dtype=np.int64)
    score = np.array([entry["score"] for entry in entries], dtype=np.float64)
    box = np.array([entry["bbox"] for entry in entries], dtype=np.float64).reshape(-1, 4)
    order = np.lexsort((-score, image, category))
    # The rank of each within its image and class, which begin where either changes.
    key = category[order] * len(places.image) + image[order]
    _, starts, counts = np.unique(key, return_index=True, return_counts=True)
    order = order[np.arange(len(key)) - np.repeat(starts, counts) < _MOST_DETECTIONS]
    return _Strongest(category[order], image[order], score[order], box[order])


def _truths(ground_truth: COCO, places: _Places) -> dict[tuple[int, int], _Truth]:
    entries: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for entry in ground_truth.anns.values():
        entries[places.category[entry["category_id"]], places.image[entry["image_id"]]].append(entry)
    return {pair: _truth(boxes) for pair, boxes in entries.items()}


def _truth(entries: list[dict[str, Any]]) -> _Truth:
    crowd = np.array([bool(entry["iscrowd"]) for entry in entries])
    ignored = crowd | _beyond_all_areas(np.array([entry["area"] for entry in entries], dtype=np.float64))
    order = np.argsort(ignored, kind="stable")
    box = np.array([entry["bbox"] for entry in entries], dtype=np.float64)
    return _Truth(box[order], crowd[order], ignored[order])


def _beyond_all_areas(area: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (area < 0) | (area > _LARGEST_AREA)


def _class_matches(
    found: _Strongest,
    matched: NDArray[np.bool_],
    ignored: NDArray[np.bool_],
    part: slice,
    boxes: NDArray[np.int64],
) -> ClassMatches:
    order = np.argsort(-found.score[part], kind="stable")
    return ClassMatches(
        image=found.image[part][order],
        score=found.score[part][order],
        matched=matched[:, part][:, order],
        ignored=ignored[:, part][:, order],
        boxes=boxes,
    )
