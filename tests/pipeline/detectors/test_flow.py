"""Detectors that no adapter knows compute the losses that mmdet computes."""

from typing import Any

import pytest
import torch

from pipeline.detectors import flow_of
from pipeline.errors import RecipeError
from tests.other_detectors import annotated_batch, other_detector

HEADS = {
    "cascade": "rpn_head.rpn_cls",
    "centernet": "bbox_head.heatmap_head.0",
    "dino": "encoder.layers.0.ffn.layers.1",
}


def losses(detector: Any, bf16: bool = False) -> dict[str, Any]:
    torch.manual_seed(0)  # of sampled regions and noised boxes
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return flow_of(detector).losses(detector, *annotated_batch())


@pytest.mark.parametrize("name", HEADS)
def test_they_are_mmdets_own_without_what_is_no_loss(name: str) -> None:
    detector = other_detector(name).train()
    found = losses(detector)
    torch.manual_seed(0)
    expected = detector.loss(*annotated_batch())
    assert {key for key in expected if "loss" not in key} == ({"s0.acc", "s1.acc"} if name == "cascade" else set())
    torch.testing.assert_close(found, {key: expected[key] for key in found}, rtol=0, atol=0)
    assert "extract_feat" not in vars(detector)


@pytest.mark.parametrize("name", HEADS)
def test_under_autocast_backbone_and_neck_run_in_it_and_the_rest_in_float32(name: str) -> None:
    detector, precisions = other_detector(name).train(), {}
    for part in ("backbone.conv1", HEADS[name]):
        detector.get_submodule(part).register_forward_hook(
            lambda module, args, output, part=part: precisions.update({part: output.dtype})
        )
    in_bf16, in_fp32 = losses(detector, bf16=True), losses(detector)
    assert precisions["backbone.conv1"] == torch.float32  # of the last call
    losses(detector, bf16=True)
    assert precisions == {"backbone.conv1": torch.bfloat16, HEADS[name]: torch.float32}
    for key, value in in_bf16.items():
        torch.testing.assert_close(value, in_fp32[key], rtol=0.1, atol=0.05)


@pytest.mark.parametrize("name", HEADS)
def test_features_are_those_that_the_losses_come_from(name: str) -> None:
    detector = other_detector(name).train()
    inputs, samples = annotated_batch()
    torch.manual_seed(0)
    calls: list[None] = []
    detector.backbone.register_forward_hook(lambda *_: calls.append(None))
    forward = flow_of(detector).forward_features(detector, inputs, samples)
    assert len(calls) == 1
    torch.testing.assert_close(forward.losses, losses(detector), rtol=0, atol=0)
    gradients = torch.autograd.grad(
        sum(torch.as_tensor(sum(loss) if isinstance(loss, list) else loss) for loss in forward.losses.values()),
        forward.features,
        allow_unused=True,
    )
    assert any(gradient is not None and gradient.any() for gradient in gradients)


def test_predictions_that_no_flow_knows_are_refused_with_what_fits() -> None:
    detector = other_detector("dino")
    inputs, samples = annotated_batch()
    for call in (
        lambda: flow_of(detector).forward_student(detector, inputs, samples),
        lambda: flow_of(detector).forward_teacher(detector, inputs),
    ):
        with pytest.raises(RecipeError, match=r"DINO has no adapter .*; PKD, which compares FPN outputs alone, needs"):
            call()
