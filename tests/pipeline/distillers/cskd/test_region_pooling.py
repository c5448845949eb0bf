"""RoIAlign by products of matrices, against torchvision's kernel."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.ops import roi_align

from pipeline.distillers.cskd.region_pooling import pooled

SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


@settings(max_examples=60)
@given(size=SIZES, counts=st.lists(st.integers(0, 4), min_size=1, max_size=3), seed=st.integers(0, 2**16))
def test_pooled_maps_and_their_gradients(size: tuple[int, int], counts: list[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(len(counts), 3, *size, generator=generator, dtype=torch.float64).requires_grad_()
    # Boxes within the map, over its border, far outside, and without a size.
    corners = torch.randn(sum(counts), 2, 2, generator=generator, dtype=torch.float64).sort(dim=1).values * 4 + 2
    corners[::3, 1] = corners[::3, 0]
    index = torch.tensor([image for image, count in enumerate(counts) for _ in range(count)])
    regions = torch.cat([index.double()[:, None], corners.flatten(1)], dim=1)
    wanted = roi_align(maps, regions, 7, spatial_scale=1.0, sampling_ratio=2, aligned=True)
    got = pooled(maps, regions)
    torch.testing.assert_close(got, wanted, rtol=1e-9, atol=1e-9)
    weights = torch.randn(wanted.shape, generator=generator, dtype=torch.float64)
    gradients = [torch.autograd.grad((result * weights).sum(), maps)[0] for result in (got, wanted)]
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


def test_no_regions() -> None:
    assert pooled(torch.randn(2, 5, 2, 3), torch.zeros(0, 5)).shape == (0, 5, 7, 7)


def test_a_pooled_ramp_is_the_centre_of_each_bin() -> None:
    columns = torch.arange(16.0).expand(1, 1, 16, 16)
    (got,) = pooled(columns, torch.tensor([[0.0, 2.0, 3.0, 9.0, 10.0]]))[0]
    # aligned=True: the centre of cell 0 is at 0.5.
    torch.testing.assert_close(got[3], 2 + torch.arange(7.0) + 0.5 - 0.5)
