"""What DDP needs: every trainable parameter gets a gradient, whatever the batch holds."""

from typing import Any

import pytest

from pipeline.distillers import Distiller, build_methods
from tests.stock_heads import TOWERED

ADAPTED = [
    {"type": "CrossKD", "reused_head_index": 1, "adapter": True},
    {"type": "PKD", "adapter": True},
    {"type": "CSKD", "branch_adapt": True},
]


@pytest.mark.parametrize("boxes", ["in one image", "in none"])
@pytest.mark.parametrize("family", TOWERED)
def test_every_trainable_parameter_gets_a_gradient(
    make_detector: Any, batch: dict[str, Any], family: str, boxes: str
) -> None:
    if boxes == "in none":
        batch["data_samples"] = [batch["data_samples"][1]] * 2
    student, teacher = make_detector(family, width=32), make_detector(family, width=64)
    distiller = Distiller(student, teacher, build_methods(ADAPTED, student, teacher)).train()
    distiller.parse_losses(distiller(**batch, mode="loss"))[0].backward()
    assert [name for name, p in distiller.named_parameters() if p.requires_grad and p.grad is None] == []
