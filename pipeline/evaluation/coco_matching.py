"""Which detection found which box: COCO's matching, kept as arrays that can be accumulated many times.

It is that of ``COCOeval.evaluateImg`` (pycocotools), for all images, classes and IoU thresholds at once. Matching looks
at one image at a time, so that it is the same in every resample of the images; only the accumulation over images
changes.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import Params

from deploy.runtime.detection_columns import DetectionColumns
from pipeline.evaluation.box_overlaps import Boxes, FoundBoxes, Overlaps, TruthBoxes, overlapping
from pipeline.evaluation.inputs import GroundTruth

_COCO = Params("bbox")
IOU_THRESHOLDS: NDArray[np.float64] = _COCO.iouThrs
AREAS: dict[str, tuple[float, float]] = {
    name: (least, most) for name, (least, most) in zip(_COCO.areaRngLbl, _COCO.areaRng, strict=True)
}
"""The least and the largest area by COCO's name of the range; what lies outside counts neither for nor against."""
ALL_AREAS = "all"
MOST_DETECTIONS: int = _COCO.maxDets[-1]


@dataclass(frozen=True)
class Matching:
    """What ``D`` detections found among ``N`` boxes, at ``T`` IoU thresholds.

    Attributes:
        hit: ``[T, D]`` bool, found a box (crowd boxes included).
        left_out: ``[T, D]`` bool, counts neither for nor against.
        found: ``[T, N]`` bool, was found.
    """

    hit: NDArray[np.bool_]
    left_out: NDArray[np.bool_]
    found: NDArray[np.bool_]


@dataclass(frozen=True)
class ClassMatches:
    """Matches of one class: ``D`` detections by falling score, ties in the order of the images, ``I`` images.

    Attributes:
        image: ``[D]`` int, position of the detection's image among the sorted image ids.
        score: ``[D]`` float.
        matched: ``[10, D]`` bool, per IoU threshold: found a box (crowd boxes included).
        ignored: ``[10, D]`` bool, per IoU threshold: counts neither for nor against (it found a crowd box, or a box
            outside the range of areas, or found none and lies outside itself).
        boxes: ``[I]`` int, boxes to be found in each image.
    """

    image: NDArray[np.int64]
    score: NDArray[np.float64]
    matched: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    boxes: NDArray[np.int64]


def match_detections(ground_truth: GroundTruth, found: DetectionColumns) -> dict[str, list[ClassMatches]]:
    """Match detections and boxes with at most 100 detections an image and class, as COCO does.

    Args:
        ground_truth: of the split.
        found: detections in any order; equal scores count in theirs.

    Returns:
        For each of :data:`AREAS` one entry a class, in the order of the category ids.
    """
    truths = ground_truth.boxes
    images, categories = np.array(sorted(ground_truth.images)), np.array(sorted(ground_truth.categories))
    detections = strongest(FoundBoxes.of(found))
    overlaps = overlapping(truths, detections, least_ious(IOU_THRESHOLDS)[0])
    order = np.lexsort((-detections.score, detections.category))
    ordered = detections.taken(order)
    image = np.searchsorted(images, ordered.image)
    bounds = pairwise(np.searchsorted(ordered.category, [*categories, np.inf]).tolist())
    parts = [slice(*bound) for bound in bounds]
    cell = np.searchsorted(categories, truths.category) * len(images) + np.searchsorted(images, truths.image)
    by_area = {}
    for name, area in AREAS.items():
        matching = match(truths, detections, overlaps, IOU_THRESHOLDS, area)
        hit, left_out = matching.hit[:, order], matching.left_out[:, order]
        counted = np.bincount(cell[~ignored(truths, area)], minlength=len(categories) * len(images))
        boxes = counted.reshape(len(categories), len(images))
        by_area[name] = [
            ClassMatches(image[part], ordered.score[part], hit[:, part], left_out[:, part], boxes[place])
            for place, part in enumerate(parts)
        ]
    return by_area


def strongest(detections: FoundBoxes) -> FoundBoxes:
    """Detections by class, image and falling score, without those beyond the 100th of an image and class."""
    ordered = detections.taken(np.lexsort((-detections.score, detections.image, detections.category)))
    return ordered.taken(_place_in_run(ordered.category, ordered.image) < MOST_DETECTIONS)


def least_ious(thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """An overlap counts that is no less; all but exact ones pass the reference's limit for a threshold of 1."""
    return np.minimum(thresholds, 1 - 1e-10)


def ignored(truths: TruthBoxes, area: tuple[float, float]) -> NDArray[np.bool_]:
    """Boxes that are not to be found, ``[N]``."""
    return truths.crowd | _outside(truths, area)


def match(
    truths: TruthBoxes,
    detections: FoundBoxes,
    overlaps: Overlaps,
    thresholds: NDArray[np.float64],
    area: tuple[float, float],
) -> Matching:
    """Give each detection, best score first, the free box that it overlaps most.

    Of equal overlaps it is the last; one that is ignored only where no other is left. A crowd is always free. So each
    takes the first that is free and near enough in an order that is known before, and the first detections of all
    images and classes take theirs at once, then the second ones.

    Args:
        truths: in the order of the annotations.
        detections: of :func:`strongest`.
        overlaps: of both, at least the lowest threshold.
        thresholds: ``[T]``, rising.
        area: the least and the largest that counts.
    """
    hit = np.zeros((len(thresholds), len(detections)), dtype=bool)
    left_out = np.repeat(_outside(detections, area)[None], len(thresholds), axis=0)
    found = np.zeros((len(thresholds), len(truths)), dtype=bool)
    free = np.ones_like(found)
    unwanted, least = ignored(truths, area), least_ious(thresholds)[:, None]
    for detection, starts, truth, iou in _turns(detections, overlaps, unwanted):
        fitting = free[:, truth] & (iou >= least)
        choice = np.where(fitting, np.arange(len(truth)), len(truth))
        choice = np.minimum.reduceat(choice, starts, axis=1)
        level, taker = np.nonzero(choice < len(truth))
        box, place = truth[choice[level, taker]], detection[starts[taker]]
        hit[level, place] = found[level, box] = True
        left_out[level, place] = unwanted[box]
        free[level, box] = truths.crowd[box]
    return Matching(hit, left_out, found)


_Turn = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def _turns(detections: FoundBoxes, overlaps: Overlaps, unwanted: NDArray[np.bool_]) -> "list[_Turn]":
    """The pairs of the detections that come first in their image and class, then of those that come second, and so on.

    Returns:
        Of each turn the ``P`` pairs' detections, the positions where another detection begins, and the pairs' boxes and
        overlaps; the boxes of each detection come in the order in which it would take them.
    """
    order = np.lexsort((-overlaps.truth, -overlaps.iou, unwanted[overlaps.truth], overlaps.detection))
    with_pairs, pairs = np.unique(overlaps.detection, return_counts=True)
    turn = np.repeat(_place_in_run(detections.category[with_pairs], detections.image[with_pairs]), pairs)
    order = order[np.argsort(turn, kind="stable")]
    detection, truth, iou = overlaps.detection[order], overlaps.truth[order], overlaps.iou[order]
    bounds = np.concatenate([[0], np.cumsum(np.bincount(turn))]).tolist()
    return [
        (detection[start:end], _starts(detection[start:end]), truth[start:end], iou[start:end])
        for start, end in pairwise(bounds)
    ]


def _starts(*values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where any of the values ``[n]`` is another than before, the first place included."""
    changes = np.ones(len(values[0]), dtype=bool)
    changes[1:] = np.any([column[1:] != column[:-1] for column in values], axis=0)
    return np.flatnonzero(changes)


def _place_in_run(*values: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many before each have the same values; equal ones stand together."""
    starts = _starts(*values)
    return np.arange(len(values[0])) - np.repeat(starts, np.diff(starts, append=len(values[0])))


def _outside(boxes: Boxes, area: tuple[float, float]) -> NDArray[np.bool_]:
    return (boxes.area < area[0]) | (boxes.area > area[1])
