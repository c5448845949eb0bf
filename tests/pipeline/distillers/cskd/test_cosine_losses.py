"""CSKD's tensor functions against loops written from the equations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pipeline.distillers.cskd.cosine_losses import Comparison, Weights, cosine_guided_rows, soft_focal_loss

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
BOTH = Weights(1.7, 0.6)


def maps(shape: tuple[int, ...], seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return student, teacher.relu()  # a dead channel or cell now and then


def cosine(student: list[float], teacher: list[float]) -> float:
    product = sum(a * b for a, b in zip(student, teacher, strict=True))
    return product / max(math.sqrt(sum(a * a for a in student) * sum(b * b for b in teacher)), 1e-6)


def guided(student: Tensor, teacher: Tensor, weights: Weights, mask: Tensor | None, area: float | None) -> float:
    """The equations of the specification, one element at a time; a mask zeroes both maps first."""
    images, channels = student.shape[:2]
    inside = torch.ones(images, 1, *student.shape[2:]) if mask is None else mask[:, None]
    s, t, m = ((values * inside).flatten(2).tolist() for values in (student, teacher, torch.ones_like(student)))
    cells = range(len(s[0][0]))
    u = [[cosine(s[b][c], t[b][c]) for c in range(channels)] for b in range(images)]
    v = [[cosine([row[p] for row in s[b]], [row[p] for row in t[b]]) for p in cells] for b in range(images)]
    errors = sum(
        abs((1 - u[b][c]) * (1 - v[b][p])) * m[b][c][p] * (s[b][c][p] - t[b][c][p]) ** 2
        for b in range(images)
        for c in range(channels)
        for p in cells
    )
    channel_distance = sum(1 - value for row in u for value in row) / (images * channels)
    cell_distances = sum(1 - value for row in v for value in row)
    divisor = images * channels * len(cells) if area is None else area
    cell_divisor = images * len(cells) if area is None else area
    return weights.mse * errors / divisor + weights.cosine * (channel_distance + cell_distances / cell_divisor)


@settings(max_examples=30)
@given(shape=SHAPES, seed=st.integers(0, 2**16), weights=st.sampled_from([BOTH, Weights(1, 0), Weights(0, 2)]))
def test_over_all_cells(shape: tuple[int, ...], seed: int, weights: Weights) -> None:
    student, teacher = maps(shape, seed)
    pair = Comparison(student, teacher)
    assert pair.everywhere(weights).item() == pytest.approx(guided(student, teacher, weights, None, None), rel=1e-9)
    area = torch.tensor(3)
    wanted = guided(student, teacher, weights, None, 3 * shape[1])
    assert pair.everywhere(weights, area).item() == pytest.approx(wanted, rel=1e-9)


@settings(max_examples=30)
@given(shape=SHAPES, seed=st.integers(0, 2**16), weights=st.sampled_from([BOTH, Weights(1, 0), Weights(0, 2)]))
def test_within_a_region(shape: tuple[int, ...], seed: int, weights: Weights) -> None:
    student, teacher = maps(shape, seed)
    region = torch.rand(shape[0], *shape[2:], generator=torch.Generator().manual_seed(seed)) > 0.4
    pair, area = Comparison(student, teacher, regions=[~region, region]), region.sum().item()
    published, counted = pair.within(weights, 1), pair.within(weights, 1, count_outside=False)
    wanted = guided(student, teacher, weights, region, shape[1] * area) if area else 0
    assert published.item() == pytest.approx(wanted, rel=1e-9)
    offset = weights.cosine * (region.numel() - area) / (shape[1] * area) if area else 0
    assert counted.item() == pytest.approx(wanted - offset, rel=1e-9, abs=1e-12)


@settings(max_examples=30)
@given(count=st.integers(1, 5), width=st.integers(1, 6), seed=st.integers(0, 2**16))
def test_of_rows(count: int, width: int, seed: int) -> None:
    student, teacher = (value.flatten(1) for value in maps((count, width, 1, 1), seed))
    wanted = 0.0
    for row_s, row_t in zip(student.tolist(), teacher.tolist(), strict=True):
        distance = 1 - cosine(row_s, row_t)
        errors = [abs(distance) * (a - b) ** 2 for a, b in zip(row_s, row_t, strict=True)]
        wanted += (BOTH.mse * sum(errors) / width + BOTH.cosine * distance) / count
    assert cosine_guided_rows(student, teacher, BOTH).item() == pytest.approx(wanted, rel=1e-9)


def joined(pair: Comparison) -> Tensor:
    """All losses of a pair, whose gradients come together."""
    return pair.everywhere(BOTH) + 2 * pair.within(BOTH, 0) + 3 * pair.within(BOTH, 1)


def test_gradients_flow_through_the_guidance_unless_it_is_detached() -> None:
    student, teacher = maps((2, 3, 2, 2), 5)
    student.requires_grad_()
    region = torch.tensor([[[1, 0], [1, 1]], [[0, 0], [1, 0]]])
    for loss in (
        lambda s: Comparison(s, teacher).everywhere(BOTH),
        lambda s: Comparison(s, teacher).everywhere(BOTH, torch.tensor(3)),
        lambda s: Comparison(s, teacher, regions=[region]).within(BOTH, 0),
        lambda s: joined(Comparison(s, teacher, regions=[region, 1 - region])),
        lambda s: cosine_guided_rows(s.flatten(1), teacher.flatten(1), BOTH),
    ):
        assert torch.autograd.gradcheck(loss, (student,))
    (free,) = torch.autograd.grad(Comparison(student, teacher).everywhere(Weights(1, 0)), student)
    (held,) = torch.autograd.grad(Comparison(student, teacher, True).everywhere(Weights(1, 0)), student)
    with torch.no_grad():
        u = 1 - torch.cosine_similarity(student.flatten(2), teacher.flatten(2), dim=2)[:, :, None, None]
        v = 1 - torch.cosine_similarity(student, teacher, dim=1)[:, None]
    torch.testing.assert_close(held, 2 * u * v * (student - teacher).detach() / student.numel())
    assert not torch.allclose(free, held)


def test_the_constant_of_the_cells_outside_has_no_gradient() -> None:
    student, teacher = maps((2, 3, 2, 2), 1)
    student.requires_grad_()
    region = torch.tensor([[[1, 0], [1, 1]], [[0, 0], [1, 0]]])
    first, second = (
        torch.autograd.grad(Comparison(student, teacher, regions=[region]).within(BOTH, 0, count), student)[0]
        for count in (True, False)
    )
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("shape", [(2, 3, 2, 2), (1, 4, 1, 1)])
def test_no_foreground_is_zero_and_part_of_the_graph(shape: tuple[int, ...]) -> None:
    student = torch.randn(shape, requires_grad=True)
    nothing = torch.zeros(shape[0], *shape[2:], dtype=torch.bool)
    pair = Comparison(student, torch.randn(shape), regions=[nothing])
    loss = pair.within(BOTH, 0) + pair.everywhere(BOTH, nothing.sum())
    loss = loss + cosine_guided_rows(student[:0].flatten(1), torch.zeros(0, loss.new_zeros(shape[1:]).numel()), BOTH)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(student.grad, torch.zeros_like(student))


def test_the_order_in_memory_changes_nothing() -> None:
    student, teacher = maps((2, 3, 4, 5), 3)
    region = torch.arange(40).reshape(2, 4, 5) % 3 == 0
    gradients = []
    for form in (torch.contiguous_format, torch.channels_last):
        leaf = student.detach().clone(memory_format=form).requires_grad_()
        joined(Comparison(leaf, teacher.clone(memory_format=form), regions=[region, ~region])).backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=0)


@pytest.mark.parametrize("value", [0.0, 1e-30, 1e4])
def test_extreme_maps_stay_finite(value: float) -> None:
    student = torch.full((1, 3, 2, 2), value, requires_grad=True)
    Comparison(student, torch.zeros(1, 3, 2, 2)).everywhere(BOTH).backward()
    Comparison(student, torch.full((1, 3, 2, 2), value), regions=[torch.ones(1, 2, 2)]).within(BOTH, 0).backward()
    assert torch.isfinite(student.grad).all()


@settings(max_examples=30)
@given(seed=st.integers(0, 2**16), gamma=st.sampled_from([1.0, 1.5, 2.0]), alpha=st.floats(0, 1))
def test_soft_focal_against_numpy(seed: int, gamma: float, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    logits, targets = rng.normal(0, 4, (6, 3)), rng.uniform(0, 1, (6, 3)) * rng.integers(0, 2, (6, 3))
    weights = rng.integers(0, 2, 6).astype(float)
    wanted = 0.0
    for x_row, y_row, weight in zip(logits, targets, weights, strict=True):
        for x, y in zip(x_row, y_row, strict=True):
            p = 1 / (1 + np.exp(-x))
            entropy = -y * np.log(p) - (1 - y) * np.log1p(-p)
            wanted += weight * (alpha * y + (1 - alpha) * (1 - y)) * ((1 - p) * y + p * (1 - y)) ** gamma * entropy
    got = soft_focal_loss(*(torch.from_numpy(a) for a in (logits, targets, weights)), 5.0, gamma, alpha)
    assert got.item() == pytest.approx(wanted / 5, rel=1e-6, abs=1e-12)
