"""RoIAlign and RoIPool: equal to references that go cell by cell."""

from math import ceil, copysign, floor

import pytest
import torch
from mmcv.ops import RoIAlign, RoIPool
from torch import Tensor


def naive_roi_align(features: Tensor, roi: Tensor, size: int, scale: float, samples: int) -> Tensor:
    """Aligned average RoIAlign of one roi (He et al., Mask R-CNN, section 3), sample by sample."""
    image = features[int(roi[0])]
    left, top, right, bottom = (float(value) * scale - 0.5 for value in roi[1:])
    step_y, step_x = (bottom - top) / size, (right - left) / size
    pooled = torch.zeros(image.shape[0], size, size, dtype=features.dtype)
    for row in range(size):
        for column in range(size):
            for i in range(samples):
                for j in range(samples):
                    y = top + (row + (i + 0.5) / samples) * step_y
                    x = left + (column + (j + 0.5) / samples) * step_x
                    pooled[:, row, column] += bilinear(image, y, x) / samples**2
    return pooled


def bilinear(image: Tensor, y: float, x: float) -> Tensor:
    _, height, width = image.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros_like(image[:, 0, 0])
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    low_y, low_x = int(y), int(x)
    high_y, high_x = min(low_y + 1, height - 1), min(low_x + 1, width - 1)
    dy, dx = y - low_y, x - low_x
    upper = image[:, low_y, low_x] * (1 - dx) + image[:, low_y, high_x] * dx
    lower = image[:, high_y, low_x] * (1 - dx) + image[:, high_y, high_x] * dx
    return upper * (1 - dy) + lower * dy


ROIS = torch.tensor([[0, 1.3, 2.1, 9.7, 12.4], [1, -3.0, 0.0, 6.5, 20.0], [0, 4.0, 4.0, 4.5, 4.5]], dtype=torch.float64)


def features() -> Tensor:
    return torch.randn(2, 3, 8, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_roi_align_equals_the_naive_reference() -> None:
    align = RoIAlign(output_size=3, spatial_scale=0.5, sampling_ratio=2, pool_mode="avg", aligned=True)
    expected = torch.stack([naive_roi_align(features(), roi, 3, 0.5, 2) for roi in ROIS])
    torch.testing.assert_close(align(features(), ROIS), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("aligned", [True, False])
def test_roi_align_gradient(aligned: bool) -> None:
    align = RoIAlign(output_size=2, spatial_scale=0.5, sampling_ratio=2, pool_mode="avg", aligned=aligned)
    assert torch.autograd.gradcheck(lambda values: align(values, ROIS), features().requires_grad_())


def test_roi_align_of_maxima_is_refused() -> None:
    align = RoIAlign(output_size=2, spatial_scale=0.5, sampling_ratio=2, pool_mode="max")
    with pytest.raises(NotImplementedError, match="'max' is not provided"):
        align(features(), ROIS)


def rounded(value: float) -> int:
    """Halves go away from 0."""
    return int(copysign(floor(abs(value) + 0.5), value))


def naive_roi_pool(features: Tensor, roi: Tensor, size: int, scale: float) -> Tensor:
    """Maxima of the whole cells that each bin touches (Girshick, Fast R-CNN, section 2.1); 0 of none."""
    image = features[int(roi[0])]
    left, top, right, bottom = (rounded(float(value) * scale) for value in roi[1:])
    height, width = max(bottom - top + 1, 1), max(right - left + 1, 1)
    pooled = torch.zeros(image.shape[0], size, size, dtype=features.dtype)
    for row in range(size):
        for column in range(size):
            rows = [max(top + floor(row * height / size), 0), top + ceil((row + 1) * height / size)]
            columns = [max(left + floor(column * width / size), 0), left + ceil((column + 1) * width / size)]
            cell = image[:, rows[0] : max(rows[1], 0), columns[0] : max(columns[1], 0)]
            if cell.numel():
                pooled[:, row, column] = cell.amax(dim=(1, 2))
    return pooled


# The last one lies outside of the map.
POOLED = torch.cat([ROIS, torch.tensor([[1, 40.0, 40.0, 60.0, 60.0]], dtype=torch.float64)])


def test_roi_pool_and_its_gradient_equal_the_naive_reference() -> None:
    maps = features().requires_grad_()
    found = RoIPool(output_size=3, spatial_scale=0.5)(maps, POOLED)
    expected = torch.stack([naive_roi_pool(maps, roi, 3, 0.5) for roi in POOLED])
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert not found[-1].any()
    factors = torch.linspace(-1, 1, found.numel(), dtype=torch.float64).reshape(found.shape)
    gradients = [torch.autograd.grad((pooled * factors).sum(), maps)[0] for pooled in (found, expected)]
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-12)


def test_roi_pool_of_no_region() -> None:
    maps = features().requires_grad_()
    pooled = RoIPool(output_size=3, spatial_scale=0.5)(maps, torch.zeros(0, 5, dtype=torch.float64))
    pooled.sum().backward()
    assert pooled.shape == (0, 3, 3, 3)
    assert maps.grad is not None
    assert not maps.grad.any()
