"""Adapter of the GFL family (Li et al., Generalized Focal Loss, 2020)."""

from typing import Any

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

from pipeline.detectors.family import Assignment, Branches, Family


class GFLFamily(Family):
    """``cls`` is ``[N, K, H, W]`` quality logits, ``reg`` is ``[N, 4 (reg_max + 1), H, W]`` distribution logits."""

    def predict(self, head: Any, features: Branches, level: int) -> Branches:
        distribution = head.scales[level](head.gfl_reg(features["reg"]))
        return {"cls": head.gfl_cls(features["cls"]), "reg": distribution.float()}

    def predictions(self, outputs: tuple[list[Tensor], ...]) -> list[Branches]:
        return [{"cls": cls, "reg": reg} for cls, reg in zip(*outputs, strict=True)]

    def assignment(self, head: Any, targets: tuple[Any, ...]) -> Assignment:
        _, labels, label_weights, _, _, positives = targets
        count = torch.tensor(positives, dtype=torch.float, device=labels[0].device)
        return Assignment(
            labels=[level.reshape(-1) for level in labels],
            label_weights=[level.reshape(-1) for level in label_weights],
            normaliser=reduce_mean(count).item(),
        )
