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

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deploy.graph.decoding import DensePredictor, Predictions, box_decoder
from deploy.graph.nms import best_candidates, nms_keep, take_boxes, top_candidates
from deploy.graph.normalised_detector import NormalisedDetector, Outputs, without_padding
from deploy.graph.score_voting import voted_boxes
from deploy.graph.traceable import make_traceable
from deploy.graph.two_stage_decoding import TwoStagePredictor, check_two_stage
from deploy.runtime.artefact import ArtefactSpec
from pipeline.detectors.kinds import DetectorKind, kind_of
from pipeline.errors import ExportError, RecipeError


class DeployableDetector(NormalisedDetector):
    """A stock mmdet detector, single-stage or two-stage, behind the interface of an artefact.

    Args:
        detector: put into eval mode and used as it is; its weights are shared, not copied.
        spec: input size, or that it is dynamic, and thresholds that the graph is built for.

    Raises:
        ExportError: the detector's family or its configuration cannot be exported faithfully.
        RecipeError: classes or sizes of the two do not fit.
    """

    def __init__(self, detector: nn.Module, spec: ArtefactSpec) -> None:
        check_exportable(detector)
        super().__init__(detector, spec)
        make_traceable(detector)
        if (classes := _classifier(detector).num_classes) != len(spec.classes):
            raise RecipeError(f"the head predicts {classes} classes, the artefact names {len(spec.classes)}")
        self.votes_on_boxes = bool(getattr(getattr(detector, "bbox_head", None), "with_score_voting", False))
        features = None if spec.dynamic_size else self._features()
        self.predictor = (
            TwoStagePredictor(detector, features)
            if kind_of(detector) is DetectorKind.TWO_STAGE
            else DensePredictor(self.detector.bbox_head, features)
        )

    def forward(self, images: Tensor, sizes: Tensor | None = None) -> Outputs:
        """Detect objects; see :class:`ArtefactSpec` for the outputs.

        Args:
            images: uint8 [N, H, W, 3] in the artefact's colour order.
            sizes: int64 [N, 2], height and width of each image on its canvas; for a dynamic size alone.

        Raises:
            ValueError: there are no sizes although the size is dynamic, or the other way round.
        """
        if (sizes is not None) != self.spec.dynamic_size:
            raise ValueError(f"{self.spec.resize_rule}: the inputs are {', '.join(self.spec.input_names)}")
        pixels = self.normalise(images)
        if sizes is not None:
            pixels = without_padding(pixels, sizes)
        features = self.detector.extract_feat(pixels)
        limits = self.canvas if sizes is None else sizes.flip(1).repeat(1, 2)[:, None].to(self.canvas.dtype)
        return self.postprocess(self.predictor(features, limits), limits)

    def postprocess(self, predictions: Predictions, limits: Tensor) -> Outputs:
        """Threshold, candidate selection, NMS and the fixed-size outputs; K = ``spec.max_detections``.

        Boxes are clipped to ``limits``: largest x, y, x, y in pixels, [4], or [N, 1, 4] where images have their own.
        Those without area are dropped, as by mmdet's ``min_bbox_size=0``.
        """
        votes, boxes, labels = self._candidates(predictions, limits)
        keep = nms_keep(boxes, votes, labels, len(self.spec.classes), self.spec.nms_iou_threshold)
        limit = self.spec.max_detections
        scores, order = top_candidates(votes * keep, min(limit, votes.shape[1]))
        found = scores > 0
        chosen, classes = take_boxes(boxes, order), labels.gather(1, order)
        if self.votes_on_boxes:
            chosen = voted_boxes(chosen, classes, boxes, votes, labels)
        boxes, labels = chosen * found[..., None], classes * found
        num_dets = found.sum(dim=1)
        if missing := limit - order.shape[1]:
            boxes, scores, labels = (
                F.pad(boxes, (0, 0, 0, missing)),
                F.pad(scores, (0, missing)),
                F.pad(labels, (0, missing)),
            )
        return Outputs(boxes, scores, labels, num_dets)

    def _candidates(self, predictions: Predictions, limits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores [N, M], clipped boxes [N, M, 4], labels [N, M], by falling class score; score 0 marks no candidate."""
        passed = torch.where(predictions.scores > self.spec.score_threshold, predictions.scores, 0.0)
        scores, pairs = best_candidates(passed.flatten(1), self.spec.max_candidates, self.spec.dynamic_size)
        classes = len(self.spec.classes)
        places, labels = pairs // classes, pairs % classes
        boxes_of = places if predictions.boxes.shape[2] == 1 else pairs
        boxes = torch.minimum(take_boxes(predictions.boxes.flatten(1, 2), boxes_of).clamp(min=0), limits)
        if predictions.quality is not None:
            scores = scores * predictions.quality.gather(1, places)
        has_area = (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
        return scores * has_area, boxes, labels

    @torch.no_grad()
    def _features(self) -> list[Tensor]:
        images = self.mean.new_zeros((1, 3, self.spec.input_height, self.spec.input_width))
        return list(self.detector.extract_feat(images))


def check_exportable(detector: Any) -> None:
    """Whether the decoding of a detector is reproduced here.

    Raises:
        ExportError: names the part of the detector that is not.
    """
    kind = kind_of(detector)
    if kind is DetectorKind.OTHER:
        raise ExportError(
            f"{type(detector).__name__} cannot be exported: it has no head that predicts at every cell, and its "
            "decoding is not reproduced here"
        )
    if kind is DetectorKind.TWO_STAGE:
        check_two_stage(detector)
    else:
        box_decoder(detector.bbox_head)


def _classifier(detector: Any) -> Any:
    return detector.roi_head.bbox_head if kind_of(detector) is DetectorKind.TWO_STAGE else detector.bbox_head
