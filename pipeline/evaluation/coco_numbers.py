"""COCO's precision, recall and its 12 numbers from what was matched: ``COCOeval.accumulate`` and ``summarize``.

Precision is needed at true positives alone: they alone raise recall, and the interpolated precision (the largest to the
right) is always reached at one of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import Params

from pipeline.evaluation.coco_matching import ALL_AREAS, AREAS, IOU_THRESHOLDS, ClassMatches

_COCO = Params("bbox")
RECALL_THRESHOLDS: NDArray[np.float64] = _COCO.recThrs
_MOST_DETECTIONS: Sequence[int] = _COCO.maxDets
_ABSENT = -1.0


@dataclass(frozen=True)
class CocoArrays:
    """Precision and recall of ``K`` classes, -1 where a class has no box to find.

    Attributes:
        precision: ``[10 IoUs, 101 recalls, K]`` by the name of the area, with 100 detections an image and class.
        recall: ``[10 IoUs, K]`` by the name of the area and the most detections; all areas with 1, 10 and 100, the
            others with 100.
    """

    precision: Mapping[str, NDArray[np.float64]]
    recall: Mapping[tuple[str, int], NDArray[np.float64]]


def accumulate(matches: Mapping[str, Sequence[ClassMatches]]) -> CocoArrays:
    """Accumulate over the images. ``matches``: of each class, by the name of the area."""
    precision, recall = {}, {}
    for area, classes in matches.items():
        precision[area] = np.stack([_precision(item) for item in classes], axis=-1)
        for most in _MOST_DETECTIONS if area == ALL_AREAS else _MOST_DETECTIONS[-1:]:
            recall[area, most] = np.stack([_recall(item, most) for item in classes], axis=-1)
    return CocoArrays(precision, recall)


def twelve_numbers(arrays: CocoArrays) -> list[float]:
    """COCO's 12 numbers in its order, as fractions, -1 where there is no box of the kind to find."""
    of_all = arrays.precision[ALL_AREAS]
    single = [of_all[np.isclose(IOU_THRESHOLDS, iou)] for iou in (0.5, 0.75)]
    most = _MOST_DETECTIONS[-1]
    sizes = [area for area in AREAS if area != ALL_AREAS]
    values = [of_all, *single, *(arrays.precision[area] for area in sizes)]
    values += [arrays.recall[ALL_AREAS, count] for count in _MOST_DETECTIONS]
    values += [arrays.recall[area, most] for area in sizes]
    return [_mean(item) for item in values]


def _mean(values: NDArray[np.float64]) -> float:
    present = values[values > _ABSENT]
    return float(present.mean()) if present.size else _ABSENT


def _precision(matches: ClassMatches) -> NDArray[np.float64]:
    """Interpolated precision ``[10 IoUs, 101 recalls]``."""
    boxes = int(matches.boxes.sum())
    if not boxes:
        return np.full((len(IOU_THRESHOLDS), len(RECALL_THRESHOLDS)), _ABSENT)
    interpolated = np.zeros((len(IOU_THRESHOLDS), len(RECALL_THRESHOLDS)))
    for threshold, (matched, ignored) in enumerate(zip(matches.matched, matches.ignored, strict=True)):
        places = np.flatnonzero(matched[~ignored])
        true = np.arange(1, len(places) + 1)
        precision = true / (places + 1 + np.spacing(1))
        envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
        interpolated[threshold] = envelope[np.searchsorted(true / boxes, RECALL_THRESHOLDS)]
    return interpolated


def _recall(matches: ClassMatches, most: int) -> NDArray[np.float64]:
    """Share of the boxes that the ``most`` best detections of each image found, ``[10 IoUs]``."""
    boxes = int(matches.boxes.sum())
    if not boxes:
        return np.full(len(IOU_THRESHOLDS), _ABSENT)
    right = matches.matched & ~matches.ignored
    if most < _MOST_DETECTIONS[-1]:
        # By image, which keeps their order by score; then how many of the same image come before each.
        order = np.argsort(matches.image, kind="stable")
        image = matches.image[order]
        right[:, order[np.arange(len(image)) - np.searchsorted(image, image) >= most]] = False
    return np.asarray([np.count_nonzero(row) / boxes for row in right])
