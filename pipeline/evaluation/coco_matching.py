"""Which detection found which box: COCO's matching of every image, kept as arrays that can be accumulated many times.

Matching looks at one image at a time, so that it is the same in every resample of the images; only the accumulation
over images changes.
"""

import contextlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval


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
    evaluator = COCOeval(ground_truth, detections, "bbox")
    evaluator.params.areaRng, evaluator.params.areaRngLbl = evaluator.params.areaRng[:1], ["all"]
    evaluator.params.maxDets = evaluator.params.maxDets[-1:]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluator.evaluate()
    count = len(evaluator.params.imgIds)
    thresholds = len(evaluator.params.iouThrs)
    return [
        _class_matches(evaluator.evalImgs[first : first + count], thresholds)
        for first in range(0, len(evaluator.evalImgs), count)
    ]


def _class_matches(images: list[dict[str, Any] | None], thresholds: int) -> ClassMatches:
    present = [(index, item) for index, item in enumerate(images) if item is not None]
    score = _joined([item["dtScores"] for _, item in present], np.empty(0))
    order = np.argsort(-score, kind="stable")
    nothing = np.empty((thresholds, 0))
    boxes = np.zeros(len(images), dtype=np.int64)
    for index, item in present:
        boxes[index] = np.count_nonzero(np.asarray(item["gtIgnore"]) == 0)
    return ClassMatches(
        image=np.repeat([index for index, _ in present], [len(item["dtScores"]) for _, item in present])[order].astype(
            int
        ),
        score=score[order],
        matched=_joined([item["dtMatches"] for _, item in present], nothing)[:, order] != 0,
        ignored=_joined([item["dtIgnore"] for _, item in present], nothing)[:, order] != 0,
        boxes=boxes,
    )


def _joined(parts: Iterable[Any], empty: NDArray[np.float64]) -> NDArray[np.float64]:
    """Parts side by side; ``empty`` gives the shape where there are none."""
    return np.concatenate([empty, *parts], axis=-1)
