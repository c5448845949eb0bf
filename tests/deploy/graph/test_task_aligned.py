"""TOOD's head in its traceable form against mmdet's own forward."""

import pytest
import torch

from deploy.graph.task_aligned import task_aligned
from tests.deploy.stock import HEADS, stock_detector


@pytest.mark.parametrize("anchor_type", ["anchor_free", "anchor_based"])
@torch.no_grad()
def test_outputs_are_those_of_mmdet(anchor_type: str) -> None:
    head = stock_detector("TOOD", bbox_head=HEADS["TOOD"] | {
        "anchor_type": anchor_type, "num_classes": 10, "in_channels": 16, "feat_channels": 16, "stacked_convs": 2,
    }).bbox_head  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    features = [torch.randn(3, 16, size, size + 1, generator=generator) for size in (16, 8, 4, 2, 1)]
    torch.testing.assert_close(task_aligned(head, features), head(features), rtol=1e-5, atol=1e-5)
