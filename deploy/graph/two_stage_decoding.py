"""Predictions of Faster R-CNN: proposals of the first stage, judged by the second.

It equals ``RPNHead.predict_by_feat`` and ``StandardRoIHead.predict_bbox`` of mmdet 3.3. The number of proposals is
fixed, ``model.test_cfg.rpn.max_per_img``; where an image has fewer, the rest are marked and score 0 for every class.
Two details are decided otherwise. NMS of the proposals runs on each level by itself, where mmdet shifts the levels
apart and loses 0.002 px to rounding. And a region's level is found by comparing its area with the areas at which levels
change, where mmdet floors a logarithm: backends round logarithms differently, and a region of exactly 224 x 224 would
be read from another level.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deploy.graph.decoding import Predictions, flatten_level, grid_priors
from deploy.graph.nms import best_candidates, nms_keep, take_boxes, top_candidates
from deploy.graph.roi_align import pyramid_roi_align
from pipeline.errors import ExportError

BBOX_HEADS = ("BBoxHead", "ConvFCBBoxHead", "Shared2FCBBoxHead", "Shared4Conv1FCBBoxHead")


class TwoStagePredictor(nn.Module):
    """Proposals, RoIAlign and the second stage's head of a stock ``FasterRCNN``.

    Args:
        detector: in eval mode; its heads are shared, not copied.
        features: maps of each level for the one size of the input, whose anchors are then constants. None leaves the
            size open: anchors are computed from the maps of every call.

    Raises:
        ExportError: a part of the detector is not reproduced here.
    """

    # mmdet's classes have no type stubs, and nn.Module gives every attribute the type "Tensor or Module".
    rpn_head: Any
    roi_head: Any
    level_areas: Tensor

    def __init__(self, detector: Any, features: Sequence[Tensor] | None) -> None:
        super().__init__()
        check_two_stage(detector)
        self.rpn_head = detector.rpn_head
        self.roi_head = detector.roi_head
        self._is_open = features is None
        if self._is_open and detector.rpn_head.test_cfg.get("nms_pre", -1) <= 0:
            raise ExportError(
                f"{type(detector).__name__} cannot be exported with a dynamic size: model.test_cfg.rpn.nms_pre is not "
                "set, and the number of anchors to choose from is open; set it, or export.dynamic_size: false"
            )
        for level, boxes in enumerate(grid_priors(detector.rpn_head, features) if features else ()):
            self.register_buffer(f"anchors{level}", boxes, persistent=False)
        extractor = detector.roi_head.bbox_roi_extractor
        steps = range(1, extractor.num_inputs)
        # floor(log2(sqrt(area) / finest + 1e-6)) >= k, solved for the area.
        areas = [((2**step - 1e-6) * extractor.finest_scale) ** 2 for step in steps]
        device = detector.rpn_head.rpn_cls.weight.device
        self.register_buffer("level_areas", torch.tensor(areas, device=device), persistent=False)

    def forward(self, features: Sequence[Tensor], limits: Tensor) -> Predictions:
        """Scores of every class for each proposal, and one box for each class (or one for all, as the head has it).

        ``limits`` are the largest x, y, x, y of a proposal in pixels, [4] or [N, 1, 4].
        """
        boxes, present = self.propose(features, limits)
        images, count = boxes.shape[:2]
        index = torch.arange(images, device=boxes.device, dtype=boxes.dtype)
        rois = torch.cat([index[:, None, None].expand(-1, count, -1), boxes], dim=-1).flatten(0, 1)
        head = self.roi_head.bbox_head
        logits, deltas = (output.float() for output in head(self._pool(features, rois)))
        scores = logits.softmax(dim=-1)[:, :-1].unflatten(0, (-1, count))
        deltas = deltas.unflatten(-1, (-1, 4))
        regions = rois[:, None, 1:].expand_as(deltas)
        decoded = head.bbox_coder.decode(regions.flatten(0, 1), deltas.flatten(0, 1)).view_as(deltas)
        return Predictions(
            scores=torch.where(present[..., None], scores, 0.0),
            boxes=decoded.unflatten(0, (-1, count)),
            quality=None,
        )

    def propose(self, features: Sequence[Tensor], limits: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes [N, P, 4] by falling objectness, clipped to ``limits``, and whether there is one [N, P]; else zeros."""
        rpn = self.rpn_head
        outputs = rpn(features)
        levels = [
            self._propose_level(logits, deltas, anchors, limits)
            for logits, deltas, anchors in zip(*outputs, self._anchors(outputs[0]), strict=True)
        ]
        boxes, scores = (torch.cat(parts, dim=1) for parts in zip(*levels, strict=True))
        limit = rpn.test_cfg.max_per_img
        scores, order = top_candidates(scores, min(limit, scores.shape[1]) if limit > 0 else scores.shape[1])
        present = scores > 0
        return torch.where(present[..., None], take_boxes(boxes, order), 0.0), present

    def _anchors(self, levels: Sequence[Tensor]) -> list[Tensor]:
        if self._is_open:
            return grid_priors(self.rpn_head, levels)
        return [getattr(self, f"anchors{level}") for level in range(len(levels))]

    def _propose_level(self, logits: Tensor, deltas: Tensor, anchors: Tensor, limits: Tensor) -> tuple[Tensor, Tensor]:
        rpn, config = self.rpn_head, self.rpn_head.test_cfg
        scores = flatten_level(logits, rpn.num_base_priors).squeeze(-1).sigmoid()
        limit = config.get("nms_pre", -1)
        # A score that is no number is none.
        scores = torch.where(scores > 0, scores, 0.0)
        scores, order = best_candidates(scores, limit if limit > 0 else scores.shape[1], self._is_open)
        deltas = take_boxes(flatten_level(deltas, rpn.num_base_priors), order)
        priors = anchors[order.flatten()]
        boxes = rpn.bbox_coder.decode(priors, deltas.flatten(0, 1)).view_as(deltas)
        boxes = torch.minimum(boxes.clamp(min=0), limits)
        scores = scores * _larger_than(boxes, config.get("min_bbox_size", -1))
        keep = nms_keep(boxes, scores, torch.zeros_like(order), 1, config.nms.iou_threshold)
        return boxes, scores * keep

    def _pool(self, features: Sequence[Tensor], rois: Tensor) -> Tensor:
        extractor = self.roi_head.bbox_roi_extractor
        layers = list(extractor.roi_layers)
        levels = torch.zeros_like(rois[:, 0], dtype=torch.int64)
        # OpenVINO 2026.4 turns a comparison with no areas at all into a batch of no images.
        if len(self.level_areas):
            sides = rois[:, 3:] - rois[:, 1:3]
            levels = (sides.prod(dim=1, keepdim=True) >= self.level_areas).sum(dim=1)
        height, width = layers[0].output_size
        return pyramid_roi_align(
            [level.float() for level in features[: extractor.num_inputs]],
            rois,
            levels,
            [layer.spatial_scale for layer in layers],
            height,
            width,
            layers[0].sampling_ratio,
            layers[0].aligned,
        )


def check_two_stage(detector: Any) -> None:
    """Whether all parts of a two-stage detector are among those that this module reproduces.

    Raises:
        ExportError: lists every part that is not, by its key in the recipe.
    """
    rpn, roi = detector.rpn_head, detector.roi_head
    head: Any = getattr(roi, "bbox_head", None)
    extractor: Any = getattr(roi, "bbox_roi_extractor", None)
    # By exact class names: a subclass may predict in another way.
    findings = [
        f"{key} is a {type(part).__name__}; known: {', '.join(known)}"
        for key, part, known in (
            ("rpn_head", rpn, ("RPNHead",)),
            ("roi_head", roi, ("StandardRoIHead",)),
            ("roi_head.bbox_head", head, BBOX_HEADS),
            ("roi_head.bbox_roi_extractor", extractor, ("SingleRoIExtractor",)),
        )
        if type(part).__name__ not in known
    ]
    if findings:
        raise ExportError("\n".join(f"{type(detector).__name__} cannot be exported: model.{f}" for f in findings))
    layer = extractor.roi_layers[0]
    cures = {
        "roi_head.mask_head is set; only boxes are exported, leave it out": roi.with_mask,
        "roi_head.shared_head is set; leave it out": roi.with_shared_head,
        "rpn_head.loss_cls.use_sigmoid is False; only sigmoid objectness is exported": not rpn.use_sigmoid_cls,
        "roi_head.bbox_head.loss_cls has activations of its own; only softmax is exported": head.custom_cls_channels,
        "roi_head.bbox_head needs both with_cls and with_reg": not (head.with_cls and head.with_reg),
        f"roi_head.bbox_roi_extractor.roi_layer is {layer}; only RoIAlign with pool_mode 'avg' is exported": (
            type(layer).__name__ != "RoIAlign" or layer.pool_mode != "avg"
        ),
        "bbox_coder.clip_border is False; boxes are clipped here": not all(
            getattr(part.bbox_coder, "clip_border", True) for part in (rpn, head)
        ),
        **{
            f"test_cfg.{stage}.nms is {dict(nms)}; only type 'nms' with an iou_threshold can be exported": (
                nms.get("type", "nms") != "nms" or nms.keys() - {"type", "iou_threshold", "split_thr"}
            )
            for stage, nms in (("rpn", rpn.test_cfg.nms), ("rcnn", roi.test_cfg.nms))
        },
    }
    if broken := [cure for cure, breaks in cures.items() if breaks]:
        raise ExportError("\n".join(f"{type(detector).__name__} cannot be exported: model.{cure}" for cure in broken))


def _larger_than(boxes: Tensor, side: float) -> Tensor:
    return ((boxes[..., 2:] - boxes[..., :2]) > side).all(dim=-1)
