"""ONNX forms of the operators in ``deploy/nms.py``, for ``torch.onnx.export``.

:data:`STANDARD` uses the ONNX operator NonMaxSuppression, which ONNX Runtime, OpenVINO and standard TensorRT run.
A backend that cannot build it gets a table of its own with another form of ``nms_keep``.

ONNX Runtime decides every tie as PyTorch does here. OpenVINO's TopK leaves the order of equal scores open (openvino
2026.4, CPU), so of two overlapping boxes with exactly equal scores it may keep the other one.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from onnx.numpy_helper import from_array
from onnxscript import opset18 as op

from deploy.nms import rounded_down

# The exporter calls these functions on symbolic values of onnxscript, which has no public type for them.
Value = Any
TranslationTable = dict[Callable[..., Any], Callable[..., Any]]


def top_candidates(scores: Value, count: int) -> tuple[Value, Value]:
    """``deploy::top_candidates`` as TopK, which takes equal scores by rising index."""
    values, indices = op.TopK(scores, op.Constant(value_ints=[count]), axis=-1, largest=1, sorted=1)
    return values, indices


def nms_keep(boxes: Value, scores: Value, labels: Value, num_classes: int, iou_threshold: float) -> Value:
    """``deploy::nms_keep`` as NonMaxSuppression, whose selected indices are scattered into a mask.

    The operator takes one score per class and box, so each score is placed in the row of its label and the rest is 0,
    which the strict score threshold of 0 leaves out.
    """
    classes = op.Constant(value=from_array(np.arange(num_classes, dtype=np.int64)[None, :, None]))
    of_class = op.Equal(op.Unsqueeze(labels, [1]), classes)
    class_scores = op.Where(of_class, op.Unsqueeze(scores, [1]), op.Constant(value_float=0.0))
    selected = op.NonMaxSuppression(
        boxes,
        class_scores,
        op.Constant(value_ints=[int(scores.shape[1])]),
        op.Constant(value_floats=[rounded_down(iou_threshold)]),
        op.Constant(value_floats=[0.0]),
    )
    places = op.Gather(selected, op.Constant(value_ints=[0, 2]), axis=1)
    nothing = op.Mul(scores, op.Constant(value_float=0.0))
    marks = op.Expand(op.Constant(value_float=1.0), op.Shape(selected, start=0, end=1))
    return op.Greater(op.ScatterND(nothing, places, marks), op.Constant(value_float=0.0))


STANDARD: TranslationTable = {
    torch.ops.deploy.top_candidates.default: top_candidates,
    torch.ops.deploy.nms_keep.default: nms_keep,
}
