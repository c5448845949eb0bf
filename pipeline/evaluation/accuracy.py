"""COCO box accuracy as one record.

The metric is COCO's (Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; reference implementation
pycocotools ``COCOeval``), computed by faster-coco-eval, which gives the reference's numbers in a fraction of its time.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from deploy.runtime.split import Split
from pipeline.evaluation.bootstrap import bootstrap_ap
from pipeline.evaluation.coco_matching import match_detections
from pipeline.evaluation.inputs import ground_truth_of, read_detections, read_ground_truth
from pipeline.records import AccuracyRecord, ClassNumbers, CocoNumbers, PrecisionRecallCurve
from pipeline.settings import EvaluateSettings

_ALL_AREAS = 0
_MOST_DETECTIONS = -1
_CURVE_IOUS = (0.5, 0.75)


def evaluate_detections(
    annotations: Path | Split,
    results: Sequence[dict[str, Any]],
    split: str,
    bootstrap: EvaluateSettings | None = None,
    source: str = "detections",
) -> AccuracyRecord:
    """Compare detections with the ground truth of one split.

    Args:
        annotations: COCO json of the split, or its content.
        results: COCO-format results ``{image_id, category_id, bbox: [x, y, width, height], score}`` in pixels of the
            original images; may be empty.
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
    evaluator = _evaluate(ground_truth, detections)
    precision = np.asarray(evaluator.eval["precision"])[:, :, :, _ALL_AREAS, _MOST_DETECTIONS]
    classes = _class_numbers(ground_truth, detections, precision)
    numbers = _coco_numbers(evaluator.stats)
    resampled = None
    if bootstrap and numbers.ap is not None:
        resampled = bootstrap_ap(match_detections(ground_truth, detections), bootstrap, numbers.ap)
    return AccuracyRecord(
        split=split,
        images=len(ground_truth.imgs),
        boxes=sum(item.boxes for item in classes),
        numbers=numbers,
        classes=classes,
        curves=_curves(precision, evaluator.params.iouThrs, evaluator.params.recThrs),
        bootstrap=resampled,
    )


def _evaluate(ground_truth: COCO, detections: COCO) -> COCOeval_faster:
    evaluator = COCOeval_faster(ground_truth, detections, "bbox", print_function=_discard)
    evaluator.run()
    return evaluator


def _discard(*_: object) -> None:
    """Takes the place of the evaluator's print."""


def _coco_numbers(stats: Sequence[float]) -> CocoNumbers:
    return CocoNumbers(**dict(zip(CocoNumbers.model_fields, map(_points, stats), strict=True)))


def _points(value: float) -> float | None:
    """COCO's fraction as points; its -1 means that the ground truth has no box of the kind."""
    return None if value < 0 else 100 * float(value)


def _class_numbers(ground_truth: COCO, detections: COCO, precision: NDArray[np.float64]) -> list[ClassNumbers]:
    """``precision`` is ``[10 IoUs, 101 recalls, classes]`` with classes in the order of their ids."""
    boxes = Counter(item["category_id"] for item in ground_truth.anns.values() if not item["iscrowd"])
    found = Counter(item["category_id"] for item in detections.anns.values())
    return [
        ClassNumbers(
            name=ground_truth.cats[category]["name"],
            ap=_points(float(precision[:, :, index].mean())),
            ap50=_points(float(precision[0, :, index].mean())),
            boxes=boxes[category],
            detections=found[category],
        )
        for index, category in enumerate(sorted(ground_truth.cats))
    ]


def _curves(
    precision: NDArray[np.float64], ious: NDArray[np.float64], recall: NDArray[np.float64]
) -> list[PrecisionRecallCurve]:
    present = precision[0, 0] > -1
    if not present.any():
        return []
    by_iou = precision[:, :, present].mean(axis=2)
    single = [(iou, by_iou[int(np.argmin(np.abs(ious - iou)))]) for iou in _CURVE_IOUS]
    return [
        PrecisionRecallCurve(iou=iou, recall=recall.tolist(), precision=values.tolist())
        for iou, values in [*single, (None, by_iou.mean(axis=0))]
    ]
