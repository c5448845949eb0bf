"""Distillation losses against independent formulas."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.distillers.losses import (
    distribution_divergence,
    quality_focal_distillation,
    standardise_like,
)


@settings(max_examples=30)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 2**16),
)
def test_standardise_gives_the_teachers_statistics(shape: tuple[int, ...], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    student = torch.randn(shape, generator=generator, dtype=torch.float64) * 3 + 1
    teacher = torch.randn(shape, generator=generator, dtype=torch.float64) - 2
    out = standardise_like(student, teacher)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(out.mean((0, 2, 3)), teacher.mean((0, 2, 3)), rtol=1e-6, atol=1e-9)
    if shape[0] * shape[2] * shape[3] > 1:
        torch.testing.assert_close(out.std((0, 2, 3)), teacher.std((0, 2, 3)), rtol=1e-3, atol=1e-6)


def test_standardise_differentiates_through_the_statistics() -> None:
    student = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: standardise_like(s, teacher), (student,))
    (gradient,) = torch.autograd.grad(standardise_like(student, teacher).sum(), student)
    # The mean over batch and space is set by the teacher, so pushing all values together changes nothing.
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-12, rtol=0)


def test_a_dead_channel_stays_finite() -> None:
    student = torch.zeros(2, 1, 3, 3, requires_grad=True)
    out = standardise_like(student, torch.randn(2, 1, 3, 3))
    out.square().sum().backward()
    assert student.grad is not None
    assert torch.isfinite(student.grad).all()


@settings(max_examples=30)
@given(seed=st.integers(0, 2**16), beta=st.sampled_from([1.0, 2.0, 1.5]), scale=st.floats(0.1, 20))
def test_quality_focal_against_numpy(seed: int, beta: float, scale: float) -> None:
    rng = np.random.default_rng(seed)
    logits, teacher = rng.normal(0, scale, (7, 4)), rng.normal(0, scale, (7, 4))
    weights = rng.integers(0, 2, 7).astype(float)
    probability, target = 1 / (1 + np.exp(-logits)), 1 / (1 + np.exp(-teacher))
    entropy = np.logaddexp(0, logits) - logits * target
    wanted = (entropy * np.abs(probability - target) ** beta * weights[:, None]).sum() / 3
    got = quality_focal_distillation(*(torch.from_numpy(a) for a in (logits, teacher, weights)), 3, beta)
    assert got.item() == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**16), temperature=st.floats(0.5, 10))
def test_divergence_against_numpy(seed: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    logits, teacher = rng.normal(0, 3, (5, 17)), rng.normal(0, 3, (5, 17))

    def softmax(values: np.ndarray) -> np.ndarray:
        exponent = np.exp(values / temperature - (values / temperature).max(axis=1, keepdims=True))
        return exponent / exponent.sum(axis=1, keepdims=True)

    p, q = softmax(teacher), softmax(logits)
    wanted = (p * np.log(p / q)).sum(axis=1) * temperature**2
    got = distribution_divergence(torch.from_numpy(logits), torch.from_numpy(teacher), temperature)
    np.testing.assert_allclose(got.numpy(), wanted, rtol=1e-6, atol=1e-9)
