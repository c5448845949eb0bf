"""From which score on a detector's boxes are shown: the best balance of precision and recall on the val split.

A detection is right that finds a box of its class at an IoU of 0.5 or more. F1 is the harmonic mean of precision and
recall over all classes together, so that a class counts as often as it occurs.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.split import Split
from pipeline.evaluation.coco_matching import ALL_AREAS, ClassMatches, match_detections
from pipeline.evaluation.inputs import ground_truth_of
from pipeline.operating_point_records import AtScore, ClassAtScore, OperatingPoint

_IOU_50 = 0
_DIGITS = 3


def operating_point(
    chosen_on: str, val: Split, on_val: DetectionColumns, measured_on: str, split: Split, on_split: DetectionColumns
) -> OperatingPoint:
    """Choose the score of the best F1 on val, and measure what it gives on the evaluated split.

    Args:
        chosen_on: name of the split that the score is chosen on.
        val: its images and boxes.
        on_val: what was found on it.
        measured_on: name of the split that the numbers are of.
        split: its images and boxes.
        on_split: what was found on it.
    """
    choosing, measuring = (
        match_detections(ground_truth_of(each), found)[ALL_AREAS] for each, found in ((val, on_val), (split, on_split))
    )
    score = best_score(choosing)
    names = [item["name"] for item in sorted(val.categories, key=lambda item: item["id"])]
    return OperatingPoint(
        score=score,
        chosen_on=chosen_on,
        chosen=at_score(choosing, score),
        measured_on=measured_on,
        measured=at_score(measuring, score),
        classes=[
            ClassAtScore(name=name, best_score=best_score([of_val]), measured=at_score([of_split], score))
            for name, of_val, of_split in zip(names, choosing, measuring, strict=True)
        ],
    )


def best_score(matches: Sequence[ClassMatches]) -> float | None:
    """The score with the highest F1, halfway to the next lower one; None where nothing right was found."""
    scores, right = _by_score(matches)
    boxes = _boxes(matches)
    found = np.cumsum(right)
    if not boxes or not found.size or not found[-1]:
        return None
    f1 = 2 * found / (np.arange(1, len(right) + 1) + boxes)
    # Equal scores pass together.
    last_of_run = np.append(scores[1:] < scores[:-1], True)
    place = int(np.argmax(np.where(last_of_run, f1, -1.0)))
    lower = scores[place + 1] if place + 1 < len(scores) else 0.0
    middle = (scores[place] + lower) / 2
    rounded = round(float(middle), _DIGITS)
    return rounded if lower < rounded <= scores[place] else float(scores[place])


def at_score(matches: Sequence[ClassMatches], score: float | None) -> AtScore | None:
    """Precision, recall and F1 of the detections that score ``score`` or more; None for no score, or no box to find."""
    boxes = _boxes(matches)
    if score is None or not boxes:
        return None
    scores, right = _by_score(matches)
    shown = scores >= score
    found, count = int(right[shown].sum()), int(shown.sum())
    return AtScore(
        precision=found / count if count else None,
        recall=found / boxes,
        f1=2 * found / (count + boxes),
        detections=count,
    )


def _by_score(matches: Sequence[ClassMatches]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores that fall, and which detections are right; those that count neither way are left out."""
    counted = [~item.ignored[_IOU_50] for item in matches]
    scores = np.concatenate([item.score[kept] for item, kept in zip(matches, counted, strict=True)])
    right = np.concatenate([item.matched[_IOU_50][kept] for item, kept in zip(matches, counted, strict=True)])
    order = np.argsort(-scores, kind="stable")
    return scores[order], right[order]


def _boxes(matches: Sequence[ClassMatches]) -> int:
    return sum(int(item.boxes.sum()) for item in matches)
