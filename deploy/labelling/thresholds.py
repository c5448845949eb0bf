"""From which score on a box of a class is one: the best F1 on the val split."""

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.split import Split
from pipeline.evaluation.coco_matching import ALL_AREAS, match_detections
from pipeline.evaluation.inputs import ground_truth_of
from pipeline.evaluation.operating_point import best_score


def class_thresholds(val: Split, on_val: DetectionColumns) -> dict[int, float | None]:
    """By category id the score with the best F1 of the class on val; none where nothing right was found."""
    matches = match_detections(ground_truth_of(val), on_val)[ALL_AREAS]
    categories = sorted(category["id"] for category in val.categories)
    return {category: best_score([match]) for category, match in zip(categories, matches, strict=True)}


def is_sure(found: DetectionColumns, thresholds: dict[int, float | None]) -> NDArray[np.bool_]:
    """Which detections reach the threshold of their class, ``[N]``."""
    needed = {category: np.inf if score is None else score for category, score in thresholds.items()}
    return found.score >= np.array([needed[category] for category in found.category.tolist()], float)
