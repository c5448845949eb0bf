"""The confusion matrix of a detector, with the background as a class of its own."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.detection_columns import DetectionColumns
from pipeline.evaluation.box_overlaps import FoundBoxes, TruthBoxes, overlapping
from pipeline.evaluation.coco_matching import ALL_AREAS, AREAS, ignored, match, strongest
from pipeline.evaluation.inputs import GroundTruth

MATCH_IOU = 0.5


def confusion_matrix(ground_truth: GroundTruth, found: DetectionColumns, score: float) -> NDArray[np.int64]:
    """What boxes of each class were detected as, by the detections that score ``score`` or more.

    There is no standard for this matrix. The definition is this project's own:

    1. COCO's matching inside each class at an IoU of 0.5 comes first, with its crowds, which leave detections out, and
       its 100 detections of an image and class. So the diagonal is what the operating point counts as right.
    2. What is left over is matched over the classes by the same greedy rule: the detections of an image by falling
       score (equal ones in the order of their category ids) each take the free box that they overlap most, by an IoU of
       0.5 or more (of equal overlaps the last box).
    3. Boxes without a detection were taken for background, detections without a box take background for an object.

    That of YOLOv5 and its successors differs: it pairs by falling IoU whatever the classes are, so that a box which was
    found can count as confused where a wrong class is placed a little better.

    Args:
        ground_truth: of the split.
        found: detections in any order.
        score: the operating point's.

    Returns:
        ``[K + 1, K + 1]``, rows by the class of the box and columns by that of the detection, in the order of the
        category ids, the background last. A row sums to the boxes of its class without crowds, a column to the
        detections of its class that count.
    """
    truths, area = ground_truth.boxes, AREAS[ALL_AREAS]
    every = FoundBoxes.of(found)
    detections = strongest(every.taken(every.score >= score))
    matching = match(truths, detections, overlapping(truths, detections, MATCH_IOU), np.array([MATCH_IOU]), area)
    wanted, counted = ~ignored(truths, area), ~matching.left_out[0]
    right = matching.hit[0] & counted
    missed, wrong = truths.taken(wanted & ~matching.found[0]), detections.taken(counted & ~right)
    box, detection = _pairs_over_classes(missed, wrong)
    classes = np.array(sorted(ground_truth.categories))
    background, size = len(classes), len(classes) + 1
    diagonal, of_missed, of_wrong = (
        np.searchsorted(classes, each) for each in (detections.category[right], missed.category, wrong.category)
    )
    alone, of_nothing = np.delete(of_missed, box), np.delete(of_wrong, detection)
    rows = [diagonal, of_missed[box], alone, np.full(len(of_nothing), background)]
    columns = [diagonal, of_wrong[detection], np.full(len(alone), background), of_nothing]
    entries = np.concatenate(rows) * size + np.concatenate(columns)
    return np.bincount(entries, minlength=size * size).reshape(size, size)


def _pairs_over_classes(missed: TruthBoxes, wrong: FoundBoxes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the boxes and of the detections that belong together, whatever their classes are."""
    anyhow = replace(missed, category=np.zeros_like(missed.category))
    pairs = overlapping(anyhow, replace(wrong, category=np.zeros_like(wrong.category)), MATCH_IOU)
    order = np.lexsort((-pairs.truth, -pairs.iou, pairs.detection, -wrong.score[pairs.detection]))
    free, taken = np.ones(len(missed), dtype=bool), np.ones(len(wrong), dtype=bool)
    box, detection = [], []
    for truth, place in zip(pairs.truth[order].tolist(), pairs.detection[order].tolist(), strict=True):
        if free[truth] and taken[place]:
            free[truth] = taken[place] = False
            box.append(truth)
            detection.append(place)
    return np.array(box, np.int64), np.array(detection, np.int64)
