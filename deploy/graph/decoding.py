"""Predictions of dense detectors: one small decoding function per head family.

Sources: ``mmdet/models/dense_heads/base_dense_head.py`` and ``gfl_head.py`` of mmdet 3.3 define what each family
predicts; the formulas are those of the papers named at the functions.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.errors import ExportError


class Priors(NamedTuple):
    """Where the L predictions of one image sit on the canvas, level by level: they depend on its size alone."""

    boxes: Tensor
    """Anchors [L, 4] (x1, y1, x2, y2) or points [L, 2] (x, y) in pixels, from the head's own prior generator."""
    strides: Tensor
    """Pixels per feature cell, [L, 1]."""


class Predictions(NamedTuple):
    """What a detector says about N images at L priors (of a dense head) or proposals (of two stages) and C classes."""

    scores: Tensor
    """[N, L, C], 0 to 1."""
    boxes: Tensor
    """[N, L, B, 4] x1, y1, x2, y2 in pixels of the canvas, not clipped; B is 1, or C for one box a class."""
    quality: Tensor | None
    """[N, L], 0 to 1: multiplies the score of a candidate once the threshold is passed (centre-ness)."""


Head = Any
"""A dense head of mmdet, which has no type stubs."""

BoxDecoder = Callable[[Head, Tensor, Priors], Tensor]

ScoreDecoder = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]
"""From logits [N, L, C] and those of the third output [N, L] to ``scores`` and ``quality`` of :class:`Predictions`."""


def distribution_boxes(head: Head, regression: Tensor, priors: Priors) -> Tensor:
    """GFL: the expected distance to each side under a softmax over bins, in strides, around the anchor's centre.

    Source: Li et al., Generalized Focal Loss, section 3.2.
    """
    bins = regression.unflatten(-1, (4, -1)).softmax(dim=-1)
    distances = (bins * head.integral.project).sum(dim=-1) * priors.strides
    return _around((priors.boxes[:, :2] + priors.boxes[:, 2:]) / 2, distances)


def distance_boxes(head: Head, regression: Tensor, priors: Priors) -> Tensor:
    """FCOS, RTMDet, VFNet: distances to the four sides in pixels, around a point. Source: Tian et al., FCOS, eq. 1."""
    del head
    return _around(priors.boxes, regression)


def delta_boxes(head: Head, regression: Tensor, priors: Priors) -> Tensor:
    """RetinaNet, ATSS, PAA, DDOD: shifts and log-scales of anchors, by the head's own coder.

    Source: Girshick, R-CNN, eq. 1-4.
    """
    # len() would become a constant of an exported graph.
    anchors = priors.boxes.expand(regression.shape[0], -1, -1)
    return head.bbox_coder.decode(anchors.flatten(0, 1), regression.flatten(0, 1)).view_as(regression)


def offset_boxes(head: Head, regression: Tensor, priors: Priors) -> Tensor:
    """YOLOX: shifts of the centre and logarithms of the sizes, in strides. Source: Ge et al., YOLOX, section 2.1."""
    del head
    centres = priors.boxes + regression[..., :2] * priors.strides
    halves = regression[..., 2:].exp() * priors.strides / 2
    return torch.cat([centres - halves, centres + halves], dim=-1)


def boxes_in_strides(head: Head, regression: Tensor, priors: Priors) -> Tensor:
    """TOOD: corners, which its head decodes itself."""
    del head
    return regression * priors.strides


def class_scores(logits: Tensor, quality: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Probabilities, and the quality that multiplies those which pass the threshold."""
    return logits.sigmoid(), quality if quality is None else quality.sigmoid()


def best_object_scores(logits: Tensor, objects: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """YOLOX: of the best class alone, its probability times the objectness; the product passes a threshold or not."""
    joint = logits.sigmoid() if objects is None else logits.sigmoid() * objects.sigmoid()[..., None]
    return torch.where(logits == logits.amax(dim=-1, keepdim=True), joint, 0.0), None


def mean_scores(logits: Tensor, quality: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """PAA: the geometric mean of the probability and of the predicted IoU; it passes a threshold or not."""
    scores = logits.sigmoid()
    return (scores if quality is None else (scores * quality.sigmoid()[..., None]).sqrt()), None


def probabilities(scores: Tensor, quality: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """TOOD: what its head puts out are the scores."""
    return scores, quality


def _around(points: Tensor, distances: Tensor) -> Tensor:
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], dim=-1)


# By exact class name: a subclass (LADHead is a PAAHead) may decode in another way.
BOX_DECODERS: dict[str, BoxDecoder] = {
    "GFLHead": distribution_boxes,
    "RetinaHead": delta_boxes,
    "ATSSHead": delta_boxes,
    "FCOSHead": distance_boxes,
    "RTMDetSepBNHead": distance_boxes,
    "YOLOXHead": offset_boxes,
    "VFNetHead": distance_boxes,
    "PAAHead": delta_boxes,
    "DDODHead": delta_boxes,
    "TOODHead": boxes_in_strides,
}
SCORE_DECODERS: dict[str, ScoreDecoder] = {
    "YOLOXHead": best_object_scores,
    "PAAHead": mean_scores,
    "TOODHead": probabilities,
}
"""Heads whose scores are not the probabilities of their first output."""


def box_decoder(head: Head) -> BoxDecoder:
    """The decoder of a head's family.

    Raises:
        ExportError: the family has none, or the head is configured in a way that the artefact does not reproduce.
    """
    name = type(head).__name__
    if name not in BOX_DECODERS:
        raise ExportError(
            f"head {name}: no box decoding for this family; known: {sorted(BOX_DECODERS)}. "
            "Add one to deploy/graph/decoding.py"
        )
    if not head.use_sigmoid_cls:
        raise ExportError(f"head {name}: only sigmoid classification can be exported, this head uses softmax")
    test: dict[str, Any] = head.test_cfg or {}
    if (kind := test.get("nms", {}).get("type", "nms")) != "nms":
        raise ExportError(f"model.test_cfg.nms.type is '{kind}'; only plain 'nms' can be exported")
    if (smallest := test.get("min_bbox_size", 0)) > 0:
        raise ExportError(f"model.test_cfg.min_bbox_size is {smallest}; only 0 (drop empty boxes) can be exported")
    return BOX_DECODERS[name]


class DensePredictor(nn.Module):
    """The head of a stock single-stage detector and the decoding of its outputs.

    Args:
        head: in eval mode; shared, not copied.
        features: maps of each level for the one size of the input, whose priors are then constants. None leaves the
            size open: priors are computed from the maps of every call.

    Raises:
        ExportError: see :func:`box_decoder`.
    """

    head: Head
    boxes: Tensor | None
    strides: Tensor | None

    def __init__(self, head: Head, features: Sequence[Tensor] | None) -> None:
        super().__init__()
        self._decoder = box_decoder(head)
        self.head = head
        priors = build_priors(head, features) if features else None
        self.register_buffer("boxes", priors and priors.boxes, persistent=False)
        self.register_buffer("strides", priors and priors.strides, persistent=False)

    def forward(self, features: Sequence[Tensor], limits: Tensor) -> Predictions:
        """Predictions at every prior for feature maps [N, C, h, w], one a level; ``limits`` is for two stages."""
        del limits
        return self.decode(self.head(features))

    def decode(self, outputs: tuple[Sequence[Tensor], ...]) -> Predictions:
        """Predictions from the head's raw outputs, see :func:`decode`."""
        if self.boxes is None or self.strides is None:
            priors = build_priors(self.head, outputs[0])
        else:
            priors = Priors(self.boxes, self.strides)
        return decode(self.head, self._decoder, outputs, priors)


def grid_priors(head: Head, levels: Sequence[Tensor]) -> list[Tensor]:
    """Anchors or points of each level for maps of these sizes, from the head's own prior generator."""
    sizes = [level.shape[-2:] for level in levels]
    priors: list[Tensor] = head.prior_generator.grid_priors(sizes, dtype=torch.float32, device=levels[0].device)
    return priors


def build_priors(head: Head, features: Sequence[Tensor]) -> Priors:
    """Priors of all levels for maps [N, C, h, w] of these sizes."""
    levels = grid_priors(head, features)
    strides = [stride[0] for stride in head.prior_generator.strides]
    # len(level) would become a constant of an exported graph.
    columns = [torch.full_like(level[:, :1], stride) for level, stride in zip(levels, strides, strict=True)]
    return Priors(torch.cat(levels), torch.cat(columns))


def decode(head: Head, decoder: BoxDecoder, outputs: tuple[Sequence[Tensor], ...], priors: Priors) -> Predictions:
    """Turn a head's raw outputs (one list per kind, one [N, channels, h, w] per level) into predictions."""
    count = head.prior_generator.num_base_priors[0]
    logits, regression, *third = (
        torch.cat([flatten_level(level, count) for level in levels], dim=1) for levels in outputs
    )
    decode_scores = SCORE_DECODERS.get(type(head).__name__, class_scores)
    scores, quality = decode_scores(logits, third[0].squeeze(-1) if third else None)
    return Predictions(scores, decoder(head, regression, priors)[:, :, None], quality)


def flatten_level(maps: Tensor, priors_per_cell: int) -> Tensor:
    """[N, A * D, h, w] to float32 [N, h * w * A, D] in the order of the priors: row, column, anchor."""
    return maps.float().permute(0, 2, 3, 1).flatten(1, 2).unflatten(-1, (priors_per_cell, -1)).flatten(1, 2)
