"""How an artefact differs from PyTorch: per class in AP, and box by box."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.detections import Detections
from deploy.runtime.matching import match, pairwise_iou
from pipeline.deploy_records import BoxDifferences, ClassDrop
from pipeline.records import AccuracyRecord


def worst_class(reference: AccuracyRecord, artefact: AccuracyRecord) -> ClassDrop | None:
    """The class that loses most AP (of equals the first one); ``None`` where no class has an AP in both."""
    found = {item.name: item.ap for item in artefact.classes}
    drops = [
        ClassDrop(name=item.name, drop=item.ap - ap)
        for item in reference.classes
        if item.ap is not None and (ap := found.get(item.name)) is not None
    ]
    return max(drops, key=lambda item: item.drop, default=None)


def box_differences(reference: DetectionColumns, artefact: DetectionColumns, score: float) -> BoxDifferences:
    """Match the reference's results scored ``score`` or more, image by image, with all of the artefact's."""
    categories = np.unique(np.concatenate([reference.category, artefact.category]))
    first = _by_image(reference.taken(reference.score >= score), categories)
    second = _by_image(artefact, categories)
    nothing = _detections(DetectionColumns.none(), categories)
    count, overlaps, scores = 0, [np.empty(0)], [np.empty(0)]
    for image, detections in first.items():
        found = second.get(image, nothing)
        one, other = match(detections, found).T
        count += len(detections)
        overlaps.append(pairwise_iou(detections.boxes, found.boxes)[one, other])
        scores.append(np.abs(detections.scores[one] - found.scores[other]))
    iou, difference = np.concatenate(overlaps), np.concatenate(scores)
    return BoxDifferences(
        score=score,
        detections=count,
        matched=len(iou) / count if count else None,
        mean_iou=float(iou.mean()) if len(iou) else None,
        mean_score_difference=float(difference.mean()) if len(iou) else None,
        max_score_difference=float(difference.max()) if len(iou) else None,
    )


def _by_image(found: DetectionColumns, categories: NDArray[np.int64]) -> dict[int, Detections]:
    """The detections of each image that has some, in the order in which the images come."""
    _, comes, image = np.unique(found.image, return_index=True, return_inverse=True)
    ordered = found.taken(np.argsort(comes[image], kind="stable"))
    starts = np.flatnonzero(np.diff(ordered.image, prepend=ordered.image[:1] - 1))
    images, every = ordered.image[starts], _detections(ordered, categories)
    ranges = pairwise([*starts.tolist(), len(ordered)])
    return {
        image: replace(
            every, boxes=every.boxes[start:end], scores=every.scores[start:end], labels=every.labels[start:end]
        )
        for image, (start, end) in zip(images.tolist(), ranges, strict=True)
    }


def _detections(found: DetectionColumns, categories: NDArray[np.int64]) -> Detections:
    boxes = found.box.copy()
    boxes[:, 2:] += boxes[:, :2]
    labels = np.searchsorted(categories, found.category)
    return Detections(boxes.astype(np.float32), found.score.astype(np.float32), labels, tuple(map(str, categories)))
