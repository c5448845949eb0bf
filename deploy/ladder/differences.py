"""How an artefact differs from PyTorch: per class in AP, and box by box."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from deploy.runtime.detections import Detections
from deploy.runtime.matching import match, pairwise_iou
from pipeline.deploy_records import BoxDifferences, ClassDrop
from pipeline.records import AccuracyRecord

Results = Sequence[dict[str, Any]]
"""COCO results: ``{image_id, category_id, bbox: [x, y, width, height], score}``."""


def worst_class(reference: AccuracyRecord, artefact: AccuracyRecord) -> ClassDrop | None:
    """The class that loses most AP (of equals the first one); ``None`` where no class has an AP in both."""
    found = {item.name: item.ap for item in artefact.classes}
    drops = [
        ClassDrop(name=item.name, drop=item.ap - ap)
        for item in reference.classes
        if item.ap is not None and (ap := found.get(item.name)) is not None
    ]
    return max(drops, key=lambda item: item.drop, default=None)


def box_differences(reference: Results, artefact: Results, score: float) -> BoxDifferences:
    """Match the reference's results scored ``score`` or more, image by image, with all of the artefact's."""
    categories = sorted({item["category_id"] for item in (*reference, *artefact)})
    labels = {category: label for label, category in enumerate(categories)}
    first = _by_image([item for item in reference if item["score"] >= score], labels)
    second = _by_image(artefact, labels)
    count, overlaps, scores = 0, [np.empty(0)], [np.empty(0)]
    for image, detections in first.items():
        found = second.get(image) or _detections([], labels)
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


def _by_image(results: Results, labels: dict[int, int]) -> dict[int, Detections]:
    images: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for item in results:
        images[item["image_id"]].append(item)
    return {image: _detections(items, labels) for image, items in images.items()}


def _detections(items: Results, labels: dict[int, int]) -> Detections:
    boxes = np.array([item["bbox"] for item in items], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    scores = np.array([item["score"] for item in items], np.float32)
    found = np.array([labels[item["category_id"]] for item in items], np.int64)
    return Detections(boxes.astype(np.float32), scores, found, tuple(map(str, labels)))
