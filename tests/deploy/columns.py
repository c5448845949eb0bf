"""COCO results written by hand, as the columns that the ladder works with."""

from typing import Any

import numpy as np

from deploy.runtime.detection_columns import DetectionColumns


def columns(results: list[dict[str, Any]]) -> DetectionColumns:
    """The results in their order."""
    image, category, box, score = (
        [item[key] for item in results] for key in ("image_id", "category_id", "bbox", "score")
    )
    return DetectionColumns(
        np.array(image, np.int64),
        np.array(category, np.int64),
        np.array(box, np.float64).reshape(-1, 4),
        np.array(score, np.float64),
    )
