"""Detectors whose operators stand in for mmcv's compiled ones train and predict through mmdet's own code."""

import pytest
import torch
from mmcv.ops import DeformConv2d, ModulatedDeformConv2d
from mmengine.logging import MessageHub

from pipeline.detectors import flow_of
from tests.deformable_detectors import TYPES, deformable_detector
from tests.other_detectors import annotated_batch


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("bf16", [False, True])
def test_a_step_moves_every_deformable_layer(name: str, bf16: bool) -> None:
    detector = deformable_detector(name).train()
    MessageHub.get_current_instance().update_info("epoch", 0)  # as mmengine's hook does; TOOD reads it
    layers = [module for module in detector.modules() if isinstance(module, DeformConv2d | ModulatedDeformConv2d)]
    # TOOD's have no weights: it samples its predictions where another branch says.
    assert bool(layers) == (name not in ("paa", "tood"))
    before = {key: value.detach().clone() for key, value in detector.named_parameters()}
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        losses = flow_of(detector).losses(detector, *annotated_batch())
    total = sum(torch.as_tensor(sum(part) if isinstance(part, list) else part) for part in losses.values())
    total.backward()
    torch.optim.SGD(detector.parameters(), lr=1e-2).step()
    moved = {key for key, value in detector.named_parameters() if not torch.equal(value, before[key])}
    assert {f"{key}.weight" for key, module in detector.named_modules() if module in layers} <= moved
    assert all(torch.isfinite(value).all() for value in detector.parameters())


@pytest.mark.parametrize("name", TYPES)
def test_it_predicts(name: str) -> None:
    detector = deformable_detector(name).eval()
    inputs, samples = annotated_batch()
    with torch.no_grad():
        for sample in detector.predict(inputs, samples):
            found = sample.pred_instances
            assert len(found) > 0
            assert torch.isfinite(found.bboxes).all()
            assert (found.labels < 3).all()
