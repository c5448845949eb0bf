"""COCO box accuracy as one record.

The metric is COCO's (Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014). Its numbers are those of the
reference implementation, pycocotools' ``COCOeval``, in every bit; tests hold them against it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.split import Split
from pipeline.evaluation.bootstrap import bootstrap_ap
from pipeline.evaluation.coco_matching import ALL_AREAS, IOU_THRESHOLDS, match_detections
from pipeline.evaluation.coco_numbers import RECALL_THRESHOLDS, accumulate, twelve_numbers
from pipeline.evaluation.inputs import GroundTruth, Results, ground_truth_of, read_detections, read_ground_truth
from pipeline.records import AccuracyRecord, ClassNumbers, CocoNumbers, PrecisionRecallCurve
from pipeline.settings import EvaluateSettings

_CURVE_IOUS = (0.5, 0.75)


def evaluate_detections(
    annotations: Path | Split,
    results: Results,
    split: str,
    bootstrap: EvaluateSettings | None = None,
    source: str = "detections",
) -> AccuracyRecord:
    """Compare detections with the ground truth of one split.

    Args:
        annotations: COCO json of the split, or its content.
        results: what was found, in pixels of the original images; may be empty.
        split: name of the split, kept in the record.
        bootstrap: number of resamples, seed and confidence of the interval for mAP; ``None`` leaves it out.
        source: where the results are from, for the error.

    Returns:
        The 12 COCO numbers and the numbers of each class in points, and precision-recall curves at IoU 0.5, 0.75 and
        averaged over 0.50:0.95. ``bootstrap`` is ``None`` too where the split has no box to find.

    Raises:
        ArtefactError, DatasetError: as :func:`read_ground_truth`.
        PipelineError: results name unknown images or categories or are malformed.
    """
    ground_truth = ground_truth_of(annotations) if isinstance(annotations, Split) else read_ground_truth(annotations)
    detections = read_detections(results, ground_truth, source)
    matches = match_detections(ground_truth, detections)
    arrays = accumulate(matches)
    precision = arrays.precision[ALL_AREAS]
    classes = _class_numbers(ground_truth, detections, precision)
    numbers = _coco_numbers(twelve_numbers(arrays))
    resampled = None
    if bootstrap and numbers.ap is not None:
        resampled = bootstrap_ap(matches[ALL_AREAS], bootstrap, numbers.ap)
    return AccuracyRecord(
        split=split,
        images=len(ground_truth.images),
        boxes=sum(item.boxes for item in classes),
        numbers=numbers,
        classes=classes,
        curves=_curves(precision),
        bootstrap=resampled,
    )


def _coco_numbers(stats: Sequence[float]) -> CocoNumbers:
    return CocoNumbers(**dict(zip(CocoNumbers.model_fields, map(_points, stats), strict=True)))


def _points(value: float) -> float | None:
    """COCO's fraction as points; its -1 means that the ground truth has no box of the kind."""
    return None if value < 0 else 100 * float(value)


def _class_numbers(
    ground_truth: GroundTruth, detections: DetectionColumns, precision: NDArray[np.float64]
) -> list[ClassNumbers]:
    """``precision`` is ``[10 IoUs, 101 recalls, classes]`` with classes in the order of their ids."""
    boxes = _counted(ground_truth.boxes.category[~ground_truth.boxes.crowd])
    found = _counted(detections.category)
    return [
        ClassNumbers(
            name=ground_truth.categories[category]["name"],
            ap=_points(float(precision[:, :, index].mean())),
            ap50=_points(float(precision[0, :, index].mean())),
            boxes=boxes.get(category, 0),
            detections=found.get(category, 0),
        )
        for index, category in enumerate(sorted(ground_truth.categories))
    ]


def _counted(categories: NDArray[np.int64]) -> Mapping[int, int]:
    names, counts = np.unique(categories, return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))


def _curves(precision: NDArray[np.float64]) -> list[PrecisionRecallCurve]:
    present = precision[0, 0] > -1
    if not present.any():
        return []
    by_iou = precision[:, :, present].mean(axis=2)
    single = [(iou, by_iou[int(np.argmin(np.abs(IOU_THRESHOLDS - iou)))]) for iou in _CURVE_IOUS]
    return [
        PrecisionRecallCurve(iou=iou, recall=RECALL_THRESHOLDS.tolist(), precision=values.tolist())
        for iou, values in [*single, (None, by_iou.mean(axis=0))]
    ]
