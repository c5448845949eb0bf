"""Validation during training through the one evaluator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.evaluator import BaseMetric

from pipeline.evaluation import evaluate_detections
from pipeline.training.hooks import METRIC


class ValidationMetric(BaseMetric):
    """mAP on the val split, in points.

    Args:
        annotations: COCO json of the split; its category ids are 1..K in the order of the classes.
    """

    default_prefix, _, _key = METRIC.partition("/")

    def __init__(self, annotations: Path) -> None:
        # Through the process group, whatever its device: mmengine's other way writes pickles into the current folder.
        super().__init__(collect_device="gpu")
        self._annotations = annotations

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:
        """Collect the detections of a batch as COCO results."""
        for sample in data_samples:
            found = sample["pred_instances"]
            corners = found["bboxes"].float().cpu().numpy().astype(float)
            corners[:, 2:] -= corners[:, :2]
            columns = zip(corners.tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True)
            self.results.append(
                [
                    {"image_id": int(sample["img_id"]), "category_id": label + 1, "bbox": box, "score": score}
                    for box, score, label in columns
                ]
            )

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Evaluate all collected detections."""
        detections = [detection for image in results for detection in image]
        ap = evaluate_detections(self._annotations, detections, "val", None).numbers.ap
        return {self._key: float("nan") if ap is None else ap}
