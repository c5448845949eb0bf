"""The sigmoid focal loss: equal to its definition."""

import pytest
import torch
from mmcv.ops import SigmoidFocalLoss
from torch import Tensor


def focal_loss_by_definition(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """FL(p_t) = -a_t (1 - p_t)^gamma log(p_t), Lin et al., equations 2, 3 and 5."""
    probability = 1 / (1 + torch.exp(-logits))
    positive = torch.zeros_like(logits)
    for row, label in enumerate(target.tolist()):
        if 0 <= label < logits.shape[1]:
            positive[row, label] = 1
    p_t = positive * probability + (1 - positive) * (1 - probability)
    alpha_t = positive * alpha + (1 - positive) * (1 - alpha)
    return -alpha_t * (1 - p_t) ** gamma * torch.log(p_t) * weight


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (1.5, 0.6), (0.0, 0.5)])
@pytest.mark.parametrize("weighted", [False, True])
def test_focal_loss_and_gradient_equal_the_definition(gamma: float, alpha: float, weighted: bool) -> None:
    generator = torch.Generator().manual_seed(5)
    logits = (torch.randn(12, 4, generator=generator, dtype=torch.float64) * 3).requires_grad_()
    target = torch.arange(12) % 6  # 4 and 5 are background
    weight = torch.tensor([1.0, 0.5, 2.0, 0.0], dtype=torch.float64) if weighted else None
    loss = SigmoidFocalLoss(gamma, alpha, weight, reduction="sum")(logits, target)
    factor = weight if weight is not None else torch.ones(4, dtype=torch.float64)
    expected = focal_loss_by_definition(logits, target, factor, gamma, alpha).sum()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(loss, logits)
    (expected_gradient,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-12)


def test_focal_loss_is_finite_for_extreme_logits() -> None:
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = SigmoidFocalLoss(2.0, 0.25, reduction="sum")(logits, torch.tensor([1]))
    loss.backward()
    assert logits.grad is not None
    assert loss.item() == pytest.approx(0.75 * 200 + 0.25 * 200)
    assert torch.isfinite(logits.grad).all()
