"""CSKD's comparisons of the two stages of a Faster R-CNN, and its assistant predictors there."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.detectors.family import Branches
from pipeline.detectors.faster_rcnn import RegionOutputs, TwoStageAssignment, classify_regions
from pipeline.distillers.cskd.blocks import Levels, Switches, TowerBlock, compare_predictions, reset
from pipeline.distillers.cskd.cosine_losses import Weights, cosine_guided_rows
from pipeline.distillers.losses import rows

_FIRST_DEVIATIONS = {"cls": 0.01, "reg": 0.001}


class RPNOutputs(NamedTuple):
    """What an RPN computed: its activated features ``[N, C, H, W]`` and its raw predictions, an entry a level."""

    features: Levels
    predictions: list[Branches]


class ProposalBlock(nn.Module):
    """Compares two RPNs; all is the mean over the levels, but the assistant's losses, which are summed.

    Args:
        student, teacher: stock RPN heads; referred to, not owned.
        features: weights of the features' comparison.
        predictions: of the predictions'.
        assistant: factor on the losses of the assistant's predictors.
        switches: see there.
    """

    def __init__(
        self,
        student: Any,
        teacher: Any,
        features: Weights,
        predictions: Weights,
        assistant: float,
        switches: Switches,
    ) -> None:
        super().__init__()
        self.predictions = predictions
        self.weight = assistant
        self.switches = switches
        self.features: nn.Module | None = None
        if any(features):
            widths = (int(student.rpn_cls.in_channels), int(teacher.rpn_cls.in_channels))
            levels = len(student.prior_generator.strides)
            self.features = TowerBlock(levels, [widths], features, True, switches)
        self.assistant = nn.ModuleDict()
        if assistant:
            layers = {"cls": deepcopy(student.rpn_cls), "reg": deepcopy(student.rpn_reg)}
            for layer in layers.values():
                reset(layer)
            self.assistant = nn.ModuleDict(layers)

    @property
    def has_losses(self) -> bool:
        """Whether any weight is not 0."""
        return self.features is not None or bool(self.assistant) or any(self.predictions)

    def forward(
        self,
        rpn: Any,
        student: RPNOutputs,
        teacher: RPNOutputs,
        areas: Sequence[Tensor],
        assignment: TwoStageAssignment,
    ) -> dict[str, Tensor | Levels]:
        """Losses named ``rpn_...``; ``rpn`` is the student's and ``areas`` count the foreground cells of each level."""
        losses: dict[str, Tensor | Levels] = {}
        if self.features is not None:
            losses["rpn_tower"] = torch.stack(self.features([student.features], [teacher.features])).mean()
        assisted = [{name: layer(level) for name, layer in self.assistant.items()} for level in student.features]
        with torch.autocast(teacher.features[0].device.type, enabled=False):
            if any(self.predictions):
                compared = compare_predictions(
                    student.predictions, teacher.predictions, areas, self.predictions, ("reg",), self.switches
                )
                losses |= {f"rpn_pred_{name}": torch.stack(levels).mean() for name, levels in compared.items()}
            if self.assistant:
                losses |= self._assistant_losses(rpn, assisted, teacher.predictions, assignment)
        return losses

    def _assistant_losses(
        self, rpn: Any, assistant: list[Branches], teacher: list[Branches], assignment: TwoStageAssignment
    ) -> dict[str, Levels]:
        """The student's own losses of its own sampled anchors, with the teacher's predictions as targets."""
        losses: dict[str, Levels] = {"rpn_assist_cls": [], "rpn_assist_reg": []}
        for level, sides in enumerate(zip(assistant, teacher, strict=True)):
            scores = [rows(side["cls"].float(), 1) for side in sides]
            deltas = [rows(side["reg"].float(), 4) for side in sides]
            sampled, boxed = assignment.label_weights[level][:, None], assignment.box_weights[level]
            count = assignment.normaliser
            cls = rpn.loss_cls(scores[0], scores[1].sigmoid(), sampled, avg_factor=count)
            losses["rpn_assist_cls"].append(self.weight * cls)
            losses["rpn_assist_reg"].append(self.weight * rpn.loss_bbox(*deltas, boxed, avg_factor=count))
        return losses


class RegionWeights(NamedTuple):
    """Weights of the second stage's comparisons, and the factor on its assistant's losses."""

    features: Weights
    hidden: Weights
    predictions: Weights
    assistant: float


class RegionBlock(nn.Module):
    """Compares two second stages.

    Args:
        student, teacher: stock RoI heads whose bbox heads have shared linear layers alone; referred to, not owned.
        weights: a comparison whose weights are both 0 is left out.
        switches: see there.
    """

    def __init__(self, student: Any, teacher: Any, weights: RegionWeights, switches: Switches) -> None:
        super().__init__()
        self.weights = weights
        self.switches = switches
        self.features = nn.ModuleDict()
        if any(weights.features):
            width_s, width_t = (int(roi.bbox_roi_extractor.out_channels) for roi in (student, teacher))
            self.features = nn.ModuleDict({side: nn.Conv2d(width_s, width_t, 1) for side in ("student", "teacher")})
        pairs = zip(student.bbox_head.shared_fcs, teacher.bbox_head.shared_fcs, strict=True)
        self.hidden = nn.ModuleList(
            nn.Linear(fc_s.out_features, fc_t.out_features) for fc_s, fc_t in pairs if any(weights.hidden)
        )
        self.assistant = nn.ModuleDict()
        if weights.assistant:
            layers = {"cls": deepcopy(student.bbox_head.fc_cls), "reg": deepcopy(student.bbox_head.fc_reg)}
            for name, layer in layers.items():
                nn.init.normal_(layer.weight, std=_FIRST_DEVIATIONS[name])
                nn.init.zeros_(layer.bias)
            self.assistant = nn.ModuleDict(layers)

    @property
    def has_losses(self) -> bool:
        """Whether any weight is not 0."""
        return any(any(weights) for weights in self.weights[:3]) or bool(self.weights.assistant)

    def forward(
        self, head: Any, pooled: Mapping[str, tuple[Tensor, Tensor]], outputs_t: RegionOutputs, labels: Tensor
    ) -> dict[str, Tensor]:
        """The losses; without any region each is 0 with a gradient of 0.

        Args:
            head: the student's bbox head.
            pooled: the student's and the teacher's features ``[R, C, h, w]`` of the regions that the ``student``'s
                proposals and of those that the ``teacher``'s lead to.
            outputs_t: what the teacher predicts for the latter.
            labels: their classes ``[R]``, the number of classes for background.
        """
        adapted = {side: layer(pooled[side][0]) for side, layer in self.features.items()}
        outputs_s = classify_regions(head, pooled["teacher"][0])
        hidden = [layer(activations) for layer, activations in zip(self.hidden, outputs_s.hidden, strict=False)]
        assisted = {name: layer(outputs_s.hidden[-1]).float() for name, layer in self.assistant.items()}
        with torch.autocast(labels.device.type, enabled=False):
            losses = {f"region_{side}": self._maps(maps, pooled[side][1]) for side, maps in adapted.items()}
            if self.hidden:
                compared = [
                    self._rows(*pair, self.weights.hidden) for pair in zip(hidden, outputs_t.hidden, strict=True)
                ]
                losses["hidden"] = torch.stack(compared).mean()
            if any(self.weights.predictions):
                losses["pred_cls"] = self._rows(
                    outputs_s.cls.float().sigmoid(), outputs_t.cls.float().sigmoid(), self.weights.predictions
                )
                losses["pred_reg"] = self._rows(outputs_s.reg, outputs_t.reg, self.weights.predictions)
            if assisted:
                assistant = _assistant_losses(head, assisted, outputs_t, labels)
                losses |= {name: self.weights.assistant * loss for name, loss in assistant.items()}
        return losses

    def _maps(self, student: Tensor, teacher: Tensor) -> Tensor:
        if not len(student):
            return student.sum() * 0
        return self.switches.compare(student, teacher).everywhere(self.weights.features)

    def _rows(self, student: Tensor, teacher: Tensor, weights: Weights) -> Tensor:
        return cosine_guided_rows(student.float(), teacher.float(), weights, self.switches.detach_guidance)


def _assistant_losses(
    head: Any, assistant: Mapping[str, Tensor], teacher: RegionOutputs, labels: Tensor
) -> dict[str, Tensor]:
    """The teacher's scores for all regions, and its boxes of the positives, as targets."""
    scores = F.binary_cross_entropy_with_logits(assistant["cls"], teacher.cls.float().sigmoid(), reduction="sum")
    positive = (labels < head.num_classes).nonzero()[:, 0]
    of = torch.zeros_like(positive) if head.reg_class_agnostic else labels[positive]
    deltas = [side.unflatten(-1, (-1, 4))[positive, of] for side in (assistant["reg"], teacher.reg.float())]
    return {
        "assist_cls": scores / max(assistant["cls"].numel(), 1),
        "assist_reg": head.loss_bbox(*deltas, avg_factor=max(len(labels), 1)),
    }
