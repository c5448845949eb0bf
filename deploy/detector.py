"""A detector as it ships: uint8 images in, final boxes out, normalisation and post-processing inside.

The same module is run by PyTorch (the first rung of the ladder) and exported, so that every rung shares one
post-processing. It equals mmdet's own (``BaseDenseHead.predict_by_feat`` of mmdet 3.3: score threshold on pairs of
prior and class, class-aware greedy NMS, the best ``max_detections`` boxes) with one difference: mmdet keeps the best
``nms_pre`` pairs of each level, this module the best ``max_candidates`` of all levels together. Greedy NMS decides on a
pair by higher-scored pairs alone. So with ``max_candidates`` <= ``nms_pre`` the result is the beginning of mmdet's
list, and the same list unless more than ``max_candidates`` pairs pass the threshold *and* fewer than
``max_detections`` of the kept ones survive NMS. (Heads with a quality branch rank candidates by the class score alone,
here as in mmdet, so there the cut can also drop a pair whose product of score and quality is high.)
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deploy.artefact import ArtefactSpec
from deploy.decoding import DensePredictor, Predictions
from deploy.nms import nms_keep, take_boxes, top_candidates
from deploy.two_stage import TwoStagePredictor
from pipeline.errors import RecipeError


class Outputs(NamedTuple):
    """The outputs of an artefact (see :class:`deploy.artefact.ArtefactSpec`), as tensors."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    num_dets: Tensor


class DeployableDetector(nn.Module):
    """A stock mmdet single-stage detector behind the interface of an artefact.

    Args:
        detector: put into eval mode and used as it is; its weights are shared, not copied.
        spec: input size and thresholds that the graph is built for.

    Raises:
        RecipeError: the detector's family or its configuration cannot be exported faithfully.
    """

    # mmdet's classes have no type stubs, and nn.Module gives every attribute the type "Tensor or Module".
    detector: Any
    mean: Tensor
    std: Tensor
    channels: Tensor
    canvas: Tensor

    def __init__(self, detector: nn.Module, spec: ArtefactSpec) -> None:
        super().__init__()
        self.detector = detector
        self.spec = spec
        self.eval()
        if (classes := _classifier(detector).num_classes) != len(spec.classes):
            raise RecipeError(f"the head predicts {classes} classes, the artefact names {len(spec.classes)}")
        self._register_normalisation(self.detector.data_preprocessor)
        canvas = [spec.input_width, spec.input_height] * 2
        self.register_buffer("canvas", self.mean.new_tensor(canvas), persistent=False)
        sizes = self._feature_sizes()
        self.predictor = (
            TwoStagePredictor(detector, sizes, self.canvas)
            if _is_two_stage(detector)
            else DensePredictor(self.detector.bbox_head, sizes, self.canvas.device)
        )

    def forward(self, images: Tensor) -> Outputs:
        """``images`` uint8 [N, H, W, 3] in the artefact's colour order; see :class:`ArtefactSpec` for the outputs."""
        return self.postprocess(self.predictor(self.detector.extract_feat(self.normalise(images))))

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] to the network's input, float32 [N, 3, H, W]."""
        # TensorRT takes uint8 as a network's input and lets no operator but the cast read it.
        pixels = images.float().permute(0, 3, 1, 2).index_select(1, self.channels)
        return (pixels - self.mean) / self.std

    def postprocess(self, predictions: Predictions) -> Outputs:
        """Threshold, candidate selection, NMS and the fixed-size outputs; K = ``spec.max_detections``.

        Boxes are clipped to the canvas; those without area are dropped, as by mmdet's ``min_bbox_size=0``.
        """
        scores, boxes, labels = self._candidates(predictions)
        keep = nms_keep(boxes, scores, labels, len(self.spec.classes), self.spec.nms_iou_threshold)
        limit = self.spec.max_detections
        scores, order = top_candidates(scores * keep, min(limit, scores.shape[1]))
        found = scores > 0
        boxes = take_boxes(boxes, order) * found[..., None]
        labels = labels.gather(1, order) * found
        num_dets = found.sum(dim=1)
        if missing := limit - order.shape[1]:
            boxes, scores, labels = (
                F.pad(boxes, (0, 0, 0, missing)),
                F.pad(scores, (0, missing)),
                F.pad(labels, (0, missing)),
            )
        return Outputs(boxes, scores, labels, num_dets)

    def _candidates(self, predictions: Predictions) -> tuple[Tensor, Tensor, Tensor]:
        """Scores [N, M], clipped boxes [N, M, 4], labels [N, M], by falling class score; score 0 marks no candidate."""
        count = min(self.spec.max_candidates, predictions.scores[0].numel())
        passed = torch.where(predictions.scores > self.spec.score_threshold, predictions.scores, 0.0)
        scores, pairs = top_candidates(passed.flatten(1), count)
        classes = len(self.spec.classes)
        places, labels = pairs // classes, pairs % classes
        boxes_of = places if predictions.boxes.shape[2] == 1 else pairs
        boxes = torch.minimum(take_boxes(predictions.boxes.flatten(1, 2), boxes_of).clamp(min=0), self.canvas)
        if predictions.quality is not None:
            scores = scores * predictions.quality.gather(1, places)
        has_area = (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
        return scores * has_area, boxes, labels

    def _register_normalisation(self, preprocessor: Any) -> None:
        spec = self.spec
        divisor = preprocessor.pad_size_divisor
        if spec.input_height % divisor or spec.input_width % divisor:
            raise RecipeError(
                f"input_size {spec.input_height}x{spec.input_width} is no multiple of the data_preprocessor's "
                f"pad_size_divisor {divisor}; choose a multiple"
            )
        # mmdet's own input is BGR, as decoded.
        reverse = preprocessor._channel_conversion != (spec.color_order == "rgb")
        order = [2, 1, 0] if reverse else [0, 1, 2]
        mean, std = normalisation(preprocessor)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.register_buffer("channels", torch.tensor(order, device=mean.device), persistent=False)

    @torch.no_grad()
    def _feature_sizes(self) -> list[tuple[int, int]]:
        images = self.mean.new_zeros((1, 3, self.spec.input_height, self.spec.input_width))
        return [tuple(level.shape[-2:]) for level in self.detector.extract_feat(images)]


def _is_two_stage(detector: Any) -> bool:
    return hasattr(detector, "rpn_head") and hasattr(detector, "roi_head")


def _classifier(detector: Any) -> Any:
    if _is_two_stage(detector):
        return detector.roi_head.bbox_head
    head = getattr(detector, "bbox_head", None)
    if head is None:
        raise RecipeError(
            f"{type(detector).__name__}: only detectors with a dense head, or with an rpn_head and a roi_head, "
            "can be exported"
        )
    return head


def normalisation(preprocessor: Any) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation [3, 1, 1] that a data preprocessor subtracts and divides by (0 and 1 if none)."""
    if not preprocessor._enable_normalize:
        return torch.zeros(3, 1, 1, device=preprocessor.device), torch.ones(3, 1, 1, device=preprocessor.device)
    return preprocessor.mean.float().expand(3, 1, 1), preprocessor.std.float().expand(3, 1, 1)


def padding_colour(preprocessor: Any) -> tuple[int, int, int]:
    """The mean colour in the order that images are decoded in (BGR), rounded: what a canvas is filled with."""
    mean = normalisation(preprocessor)[0].flatten()
    decoded = mean.flip(0) if preprocessor._channel_conversion else mean
    blue, green, red = (round(value) for value in decoded.tolist())
    return blue, green, red
