"""Predictions of dense detectors for a fixed input size: one small decoding function per head family.

Sources: ``mmdet/models/dense_heads/base_dense_head.py`` and ``gfl_head.py`` of mmdet 3.3 define what each family
predicts; the formulas are those of the papers named at the functions.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.errors import RecipeError


class Priors(NamedTuple):
    """Where the L predictions of one image sit on the canvas, level by level: constants of the input size."""

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


def distribution_boxes(head: Head, regression: Tensor, priors: Priors) -> Tensor:
    """GFL: the expected distance to each side under a softmax over bins, in strides, around the anchor's centre.

    Source: Li et al., Generalized Focal Loss, section 3.2.
    """
    bins = regression.unflatten(-1, (4, -1)).softmax(dim=-1)
    distances = (bins * head.integral.project).sum(dim=-1) * priors.strides
    return _around((priors.boxes[:, :2] + priors.boxes[:, 2:]) / 2, distances)


def distance_boxes(head: Head, regression: Tensor, priors: Priors) -> Tensor:
    """FCOS: distances to the four sides in pixels, around a point. Source: Tian et al., FCOS, eq. 1."""
    del head
    return _around(priors.boxes, regression)


def delta_boxes(head: Head, regression: Tensor, priors: Priors) -> Tensor:
    """RetinaNet, ATSS: shifts and log-scales of anchors, by the head's own coder. Source: Girshick, R-CNN, eq. 1-4."""
    anchors = priors.boxes.expand(len(regression), -1, -1)
    return head.bbox_coder.decode(anchors.flatten(0, 1), regression.flatten(0, 1)).view_as(regression)


def _around(points: Tensor, distances: Tensor) -> Tensor:
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], dim=-1)


# By exact class name: a subclass (TOODHead is an ATSSHead) may decode in another way.
BOX_DECODERS: dict[str, BoxDecoder] = {
    "GFLHead": distribution_boxes,
    "RetinaHead": delta_boxes,
    "ATSSHead": delta_boxes,
    "FCOSHead": distance_boxes,
}


def box_decoder(head: Head) -> BoxDecoder:
    """The decoder of a head's family.

    Raises:
        RecipeError: the family has none, or the head is configured in a way that the artefact does not reproduce.
    """
    name = type(head).__name__
    if name not in BOX_DECODERS:
        raise RecipeError(
            f"head {name}: no box decoding for this family; known: {sorted(BOX_DECODERS)}. "
            "Add one to deploy/decoding.py"
        )
    if not head.use_sigmoid_cls:
        raise RecipeError(f"head {name}: only sigmoid classification can be exported, this head uses softmax")
    test: dict[str, Any] = head.test_cfg or {}
    if (kind := test.get("nms", {}).get("type", "nms")) != "nms":
        raise RecipeError(f"model.test_cfg.nms.type is '{kind}'; only plain 'nms' can be exported")
    if (smallest := test.get("min_bbox_size", 0)) > 0:
        raise RecipeError(f"model.test_cfg.min_bbox_size is {smallest}; only 0 (drop empty boxes) can be exported")
    return BOX_DECODERS[name]


class DensePredictor(nn.Module):
    """The head of a stock single-stage detector and the decoding of its outputs.

    Args:
        head: in eval mode; shared, not copied.
        feature_sizes: height and width of each feature level.
        device: where the priors are kept.

    Raises:
        RecipeError: see :func:`box_decoder`.
    """

    head: Head
    boxes: Tensor
    strides: Tensor

    def __init__(self, head: Head, feature_sizes: Sequence[tuple[int, int]], device: torch.device) -> None:
        super().__init__()
        self._decoder = box_decoder(head)
        self.head = head
        priors = build_priors(head, feature_sizes, device)
        self.register_buffer("boxes", priors.boxes, persistent=False)
        self.register_buffer("strides", priors.strides, persistent=False)

    def forward(self, features: Sequence[Tensor]) -> Predictions:
        """Predictions at every prior for feature maps [N, C, h, w], one a level."""
        return self.decode(self.head(features))

    def decode(self, outputs: tuple[Sequence[Tensor], ...]) -> Predictions:
        """Predictions from the head's raw outputs, see :func:`decode`."""
        return decode(self.head, self._decoder, outputs, Priors(self.boxes, self.strides))


def build_priors(head: Head, feature_sizes: Sequence[tuple[int, int]], device: torch.device) -> Priors:
    """Priors of all levels for the (height, width) of each feature map."""
    levels = head.prior_generator.grid_priors(feature_sizes, dtype=torch.float32, device=device)
    strides = [stride[0] for stride in head.prior_generator.strides]
    columns = [level.new_full((len(level), 1), stride) for level, stride in zip(levels, strides, strict=True)]
    return Priors(torch.cat(levels), torch.cat(columns))


def decode(head: Head, decoder: BoxDecoder, outputs: tuple[Sequence[Tensor], ...], priors: Priors) -> Predictions:
    """Turn a head's raw outputs (one list per kind, one [N, channels, h, w] per level) into predictions."""
    logits, regression, *quality = (
        torch.cat([flatten_level(level, head.num_base_priors) for level in levels], dim=1) for levels in outputs
    )
    return Predictions(
        scores=logits.sigmoid(),
        boxes=decoder(head, regression, priors)[:, :, None],
        quality=quality[0].squeeze(-1).sigmoid() if quality else None,
    )


def flatten_level(maps: Tensor, priors_per_cell: int) -> Tensor:
    """[N, A * D, h, w] to float32 [N, h * w * A, D] in the order of the priors: row, column, anchor."""
    return maps.float().permute(0, 2, 3, 1).flatten(1, 2).unflatten(-1, (priors_per_cell, -1)).flatten(1, 2)
