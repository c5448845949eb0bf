"""ONNX forms of the operators in ``deploy/graph/nms.py`` and ``deploy/graph/roi_align.py``, for ``torch.onnx.export``.

:data:`STANDARD` uses the ONNX operator NonMaxSuppression, which ONNX Runtime, OpenVINO and standard TensorRT run.
A backend that cannot build it gets a table of its own with another form of ``nms_keep``.

ONNX Runtime decides every tie as PyTorch does here. OpenVINO's TopK leaves the order of equal scores open (openvino
2026.4, CPU), so of two overlapping boxes with exactly equal scores it may keep the other one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from onnx import TensorProto
from onnx.numpy_helper import from_array
from onnxscript import opset18 as op

import deploy.graph.roi_align  # noqa: F401  (registers the operator)
from deploy.graph.nms import rounded_down

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


def pyramid_roi_align(
    features: Sequence[Value],
    rois: Value,
    levels: Value,
    scales: Sequence[float],
    height: int,
    width: int,
    sampling_ratio: int,
    aligned: bool,
) -> Value:
    """``deploy::pyramid_roi_align`` as one RoiAlign a level over the regions of that level.

    The levels' results are joined and put back into the order of the regions by the inverse of their permutation.
    TensorRT-RTX builds neither RoiAlign nor NonZero, and there is no portable form: a Faster R-CNN does not run there.
    """
    members, pooled = [], []
    for level, (maps, scale) in enumerate(zip(features, scales, strict=True)):
        chosen = op.Squeeze(op.NonZero(op.Equal(levels, op.Constant(value_int=level))), [0])
        regions = op.Gather(rois, chosen, axis=0)
        members.append(chosen)
        pooled.append(
            op.RoiAlign(
                maps,
                op.Gather(regions, op.Constant(value_ints=[1, 2, 3, 4]), axis=1),
                op.Cast(op.Gather(regions, op.Constant(value_int=0), axis=1), to=TensorProto.INT64),
                # ONNX names after the resize operator what aligned=False is: no shift by half a cell.
                coordinate_transformation_mode="half_pixel" if aligned else "output_half_pixel",
                mode="avg",
                output_height=height,
                output_width=width,
                sampling_ratio=sampling_ratio,
                spatial_scale=scale,
            )
        )
    order = op.Concat(*members, axis=0)
    places = op.Range(op.Constant(value_int=0), op.Squeeze(op.Shape(order), [0]), op.Constant(value_int=1))
    return op.Gather(op.Concat(*pooled, axis=0), op.ScatterElements(places, order, places, axis=0), axis=0)


STANDARD: TranslationTable = {
    torch.ops.deploy.top_candidates.default: top_candidates,
    torch.ops.deploy.nms_keep.default: nms_keep,
    torch.ops.deploy.pyramid_roi_align.default: pyramid_roi_align,
}
