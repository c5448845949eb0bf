"""Deformable attention: equal to a sum that is written out."""

from itertools import product

import torch
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch import Tensor


def test_deformable_attention_equals_sums_of_interpolated_values_written_out() -> None:
    """Two levels of 3 x 4 and 2 x 2, two heads of 5 channels, three queries of two points; gradients by differences."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(3, 4), (2, 2)]
    value = torch.randn(1, 16, 2, 5, generator=generator, dtype=torch.float64, requires_grad=True)
    # Some are outside of the map.
    locations = torch.rand(1, 3, 2, 2, 2, 2, generator=generator, dtype=torch.float64) * 1.2 - 0.1
    weights = torch.rand(1, 3, 2, 2, 2, generator=generator, dtype=torch.float64)

    def attend(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        return MultiScaleDeformableAttnFunction.apply(
            value, torch.tensor(sizes), torch.tensor([0, 12]), locations, weights, 64
        )

    expected = torch.zeros(1, 3, 2, 5, dtype=torch.float64)
    for query, head, level, point in product(range(3), range(2), range(2), range(2)):
        rows, columns = sizes[level]
        x, y = (locations[0, query, head, level, point] * torch.tensor([columns, rows]) - 0.5).tolist()
        for row, column in product(range(rows), range(columns)):
            share = max(0.0, 1 - abs(row - y)) * max(0.0, 1 - abs(column - x))
            cell = value.detach()[0, (0, 12)[level] + row * columns + column, head]
            expected[0, query, head] += weights[0, query, head, level, point] * share * cell
    torch.testing.assert_close(attend(value, locations, weights), expected.flatten(2))
    assert torch.autograd.gradcheck(attend, (value, locations.requires_grad_(), weights.requires_grad_()))
