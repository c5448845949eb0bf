"""Validation during training through the one evaluator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric

from pipeline.evaluation import evaluate_detections
from pipeline.training.collectives import from_first
from pipeline.training.hooks import METRIC


class ValidationMetric(BaseMetric):
    """mAP on the val split, in points.

    Args:
        annotations: COCO json of the split; its category ids are 1..K in the order of the classes.
    """

    def __init__(self, annotations: Path) -> None:
        super().__init__()
        self._annotations = annotations

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Collect the detections of a batch as COCO results, those of an image together."""
        for sample in data_samples:
            image, found = int(sample["img_id"]), sample["pred_instances"]
            corners = found["bboxes"].float().cpu().numpy().astype(float)
            corners[:, 2:] -= corners[:, :2]
            columns = zip(corners.tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True)
            results = [
                {"image_id": image, "category_id": label + 1, "bbox": box, "score": score}
                for box, score, label in columns
            ]
            self.results.append((image, results))

    def evaluate(self, size: int) -> dict[str, float]:
        """Evaluate the detections of all processes, each image once, whatever the order they were seen in.

        mmengine joins them by the order of an unshuffled sampler, and through pickles in the current folder.
        """
        by_image = dict(entry for part in all_gather_object(self.results) for entry in part)
        self.results.clear()
        return from_first(lambda: self.compute_metrics([by_image[image] for image in sorted(by_image)]))

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """mAP of the detections of each image."""
        detections = [detection for image in results for detection in image]
        ap = evaluate_detections(self._annotations, detections, "val", None).numbers.ap
        return {METRIC: float("nan") if ap is None else ap}
