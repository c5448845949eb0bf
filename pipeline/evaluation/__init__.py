"""The one evaluator: COCO box accuracy of detections, whichever model, artefact or backend they came from."""

from pipeline.evaluation.accuracy import evaluate_detections
from pipeline.evaluation.bootstrap import paired_difference

__all__ = ["evaluate_detections", "paired_difference"]
