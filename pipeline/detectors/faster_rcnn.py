"""Faster R-CNN in training: proposals, sampled regions, and what both stages compute of them.

Every step is one of the stock modules' own; they are only called one by one, so that methods get their
outputs and their losses are computed in float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from mmdet.models.detectors.base import BaseDetector
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures.bbox import bbox2roi
from torch import Tensor

from pipeline.detectors.box_weights import weight_losses, weight_regions
from pipeline.detectors.family import Branches
from pipeline.detectors.flow import Flow, ForwardPass, LossDict
from pipeline.detectors.pyramid import Features
from pipeline.detectors.recorder import record_results

OUTPUTS = ("cls", "reg")
"""Names of what the RPN's forward returns, in its order."""


class Regions(NamedTuple):
    """Proposals that were assigned to annotated boxes and sampled, of all images: ``R`` in number.

    Attributes:
        rois: ``[R, 5]``, index of the image and corners in pixels; by image, positives first.
        sampled: mmdet's SamplingResult an image.
    """

    rois: Tensor
    sampled: list[Any]


class RegionOutputs(NamedTuple):
    """What a second stage predicts for regions, and the activations before its predictions.

    Attributes:
        cls: logits ``[R, K + 1]``, background last.
        reg: deltas ``[R, 4 K]``, or ``[R, 4]`` if they are the same for all classes.
        hidden: activations of the shared linear layers, ``[R, D]`` each.
    """

    cls: Tensor
    reg: Tensor
    hidden: list[Tensor]


@dataclass(frozen=True)
class TwoStageAssignment:
    """The targets that the student's own losses assigned, and the regions that they were of.

    The lists have an entry a level, flattened in the order (image, y, x, anchor).

    Attributes:
        label_weights: 1 for sampled anchors, else 0; each ``[N * H * W * A]``.
        box_weights: the same of positive anchors, for each delta; each ``[N * H * W * A, 4]``.
        normaliser: number of sampled anchors, which the RPN's losses are divided by.
        regions: of the second stage.
        pooled: the student's features of the regions, ``[R, C, h, w]`` in float32.
    """

    label_weights: list[Tensor]
    box_weights: list[Tensor]
    normaliser: float
    regions: Regions
    pooled: Tensor


class TwoStageFlow(Flow):
    """Backbone, neck, RPN and the classification of its proposals, in the precisions of a single-stage detector."""

    knows_head = True

    def losses(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> LossDict:
        return self.forward_student(student, inputs, samples).losses

    def forward_student(self, student: BaseDetector, inputs: Tensor, samples: list[Any]) -> ForwardPass:
        rpn, roi = student.rpn_head, student.roi_head
        features = student.extract_feat(inputs)
        predictions = _by_level(rpn(features))
        with record_results(rpn, "get_targets") as targets, torch.autocast(inputs.device.type, enabled=False):
            losses = _proposal_losses(rpn, predictions, samples)
        regions = sample_regions(roi, propose(rpn, predictions, samples, proposal_config(student)), samples, features)
        pooled = pool(roi, features, regions.rois)
        scores, deltas = roi.bbox_head(pooled)
        with torch.autocast(inputs.device.type, enabled=False):
            learning = weight_regions([scores.float(), deltas.float()], regions.rois, samples)
            region_losses = roi.bbox_head.loss_and_target(*learning, regions.rois, regions.sampled, roi.train_cfg)
        _, label_weights, _, box_weights, normaliser = targets[-1]
        # What else the second stage reports is its accuracy, which is no loss.
        losses |= {name: loss for name, loss in region_losses["loss_bbox"].items() if name.startswith("loss")}
        assignment = TwoStageAssignment(
            label_weights=[level.reshape(-1) for level in label_weights],
            box_weights=[level.reshape(-1, 4) for level in box_weights],
            normaliser=float(normaliser),
            regions=regions,
            pooled=pooled,
        )
        return ForwardPass(features, predictions, losses, assignment)

    def forward_teacher(self, teacher: BaseDetector, inputs: Tensor) -> ForwardPass:
        features = teacher.extract_feat(inputs)
        return ForwardPass(features, _by_level(teacher.rpn_head(features)), {}, None)


def other_parts(detector: BaseDetector) -> list[str]:
    """What of a two-stage detector is no Faster R-CNN's, of all that the flow calls: one sentence a part, by its key.

    Cascade R-CNN has such parts: it is trained by mmdet's own computation of its losses.
    """
    rpn, roi = detector.rpn_head, detector.roi_head
    # By exact class names: a subclass may compute its losses in another way.
    findings = [
        f"{key} is a {type(part).__name__}, not a {expected}"
        for key, part, expected in (("rpn_head", rpn, "RPNHead"), ("roi_head", roi, "StandardRoIHead"))
        if type(part).__name__ != expected
    ]
    head = getattr(roi, "bbox_head", None)
    if not isinstance(head, BBoxHead):
        findings.append(f"roi_head.bbox_head is a {type(head).__name__}, not one of mmdet's BBoxHeads")
    if getattr(roi, "with_shared_head", False):
        findings.append("roi_head.shared_head is set; leave it out")
    return findings


def proposal_config(student: BaseDetector) -> Any:
    """How many proposals are made of a batch in training, and by which NMS."""
    return student.train_cfg.get("rpn_proposal", student.test_cfg.rpn)


def propose(rpn: Any, predictions: list[Branches], samples: list[Any], config: Any) -> list[Any]:
    """Proposals of each image (mmdet's InstanceData) from raw predictions; no gradient goes through them."""
    maps = [[level[name].detach().float() for level in predictions] for name in OUTPUTS]
    return rpn.predict_by_feat(*maps, batch_img_metas=[sample.metainfo for sample in samples], cfg=config)


def sample_regions(roi: Any, proposals: list[Any], samples: list[Any], features: Features) -> Regions:
    """Assign proposals to the annotated boxes and sample them, by the second stage's own assigner and sampler."""
    annotated, ignored, _ = unpack_gt_instances(samples)
    sampled = []
    for image, (proposed, objects, skipped) in enumerate(zip(proposals, annotated, ignored, strict=True)):
        proposed.priors = proposed.pop("bboxes")
        assigned = roi.bbox_assigner.assign(proposed, objects, skipped)
        levels = [level[image][None] for level in features]
        sampled.append(roi.bbox_sampler.sample(assigned, proposed, objects, feats=levels))
    return Regions(bbox2roi([result.priors for result in sampled]), sampled)


def pool(roi: Any, features: Features, rois: Tensor) -> Tensor:
    """RoIAlign of regions ``[R, 5]``, each on the level of its size: ``[R, C, h, w]`` in float32."""
    extractor = roi.bbox_roi_extractor
    return extractor([level.float() for level in features[: extractor.num_inputs]], rois)


def classify_regions(head: Any, pooled: Tensor) -> RegionOutputs:
    """Run a second stage's head, of shared linear layers alone, on features ``[R, C, h, w]``."""
    hidden = [(head.avg_pool(pooled) if head.with_avg_pool else pooled).flatten(1)]
    for layer in head.shared_fcs:
        hidden.append(head.relu(layer(hidden[-1])))
    return RegionOutputs(head.fc_cls(hidden[-1]), head.fc_reg(hidden[-1]), hidden[1:])


def _by_level(outputs: Sequence[Sequence[Tensor]]) -> list[Branches]:
    return [dict(zip(OUTPUTS, level, strict=True)) for level in zip(*outputs, strict=True)]


def _proposal_losses(rpn: Any, predictions: list[Branches], samples: list[Any]) -> LossDict:
    annotated, ignored, metas = unpack_gt_instances(samples)
    objects = [instances.clone() for instances in annotated]
    for instances in objects:
        instances.labels = torch.zeros_like(instances.labels)
    maps = [[level[name].float() for level in predictions] for name in OUTPUTS]
    maps = weight_losses(maps, samples, rpn.prior_generator.strides)
    return rpn.loss_by_feat(*maps, objects, metas, ignored)
