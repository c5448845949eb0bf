"""mmcv's operators: all run, and a kernel that answers otherwise is told."""

import pytest
import torch

from benchmarks.gpu_proof import operators
from benchmarks.gpu_proof.part import run_check
from benchmarks.gpu_proof.place import Place


def test_every_operator_agrees_with_itself(place: Place) -> None:
    found = [run_check(check) for check in operators.checks(place)]
    assert {check.name: check.status for check in found} == dict.fromkeys(
        ["nms", "batched_nms", "roi_align", "sigmoid_focal_loss"], "passed"
    )
    assert 0 < int(found[0].numbers["kept on the device"]) < 2000


def test_each_device_has_a_leaf_of_its_own(place: Place) -> None:
    """Or the CPU's gradient is added to, and another device's tensor, made from the CPU's leaf, has none."""
    values, leaves = torch.ones(3), []

    def double(leaf: torch.Tensor, device: torch.device) -> torch.Tensor:
        leaves.append(leaf)
        return 2 * leaf

    operators._same_values(double, values, place, {})
    assert not values.requires_grad
    assert all(leaf.is_leaf for leaf in leaves)
    assert [leaf.grad.tolist() for leaf in leaves if leaf.grad is not None] == [[-2, 0, 2]] * 2


def test_another_answer_of_the_second_device_fails(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def nms(boxes: torch.Tensor, scores: torch.Tensor, threshold: float) -> tuple[None, torch.Tensor]:
        calls.append(threshold)
        return None, torch.arange(len(calls))

    def focal(logits: torch.Tensor, *_: object) -> torch.Tensor:
        calls.append(0.0)
        return logits * len(calls)

    monkeypatch.setattr(operators, "nms", nms)
    monkeypatch.setattr(operators, "sigmoid_focal_loss", focal)
    found = {check.name: run_check(check) for check in operators.checks(place)}
    assert found["nms"].reason == "other boxes are kept, or in another order"
    assert found["sigmoid_focal_loss"].reason.startswith("relative distance of the output is")
    assert found["roi_align"].status == "passed"
