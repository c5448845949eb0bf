"""A detector's errors as one record: their kinds and costs over all scores, and what is confused from one score on."""

import numpy as np

from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.split import Split
from pipeline.detection_error_records import Confusion, DetectionErrors, ErrorCost
from pipeline.evaluation.confusion import confusion_matrix
from pipeline.evaluation.inputs import GroundTruth, ground_truth_of
from pipeline.evaluation.tide import KINDS, judge_detections


def detection_errors(name: str, split: Split, found: DetectionColumns, score: float | None) -> DetectionErrors:
    """Say what is wrong with the detections on a split.

    Args:
        name: of the split.
        split: its images and boxes.
        found: what was found on it, in any order.
        score: the operating point's, for the confusion matrix; None leaves that out.
    """
    ground_truth = ground_truth_of(split)
    judged = judge_detections(ground_truth, found)
    measured = judged.ap50()
    return DetectionErrors(
        split=name,
        classes=_names(ground_truth),
        ap50=measured,
        kinds=[
            ErrorCost(kind=kind, count=judged.count(kind), delta_ap50=_gain(judged.ap50([kind]), measured))
            for kind in KINDS
        ],
        false_positives=_gain(judged.ap50_without_false_positives(), measured),
        false_negatives=_gain(judged.ap50_without_false_negatives(), measured),
        score=score,
        confusion=[] if score is None else _confusion(ground_truth, found, score),
    )


def _names(ground_truth: GroundTruth) -> list[str]:
    return [ground_truth.categories[category]["name"] for category in sorted(ground_truth.categories)]


def _gain(mended: float | None, measured: float | None) -> float | None:
    return None if mended is None or measured is None else mended - measured


def _confusion(ground_truth: GroundTruth, found: DetectionColumns, score: float) -> list[Confusion]:
    matrix, names = confusion_matrix(ground_truth, found, score), [*_names(ground_truth), None]
    return [
        Confusion(truth=names[row], predicted=names[column], count=int(matrix[row, column]))
        for row, column in np.argwhere(matrix).tolist()
    ]
