from typing import Any

import pytest
import torch
from mmdet.models.backbones import SwinTransformer
from torch import Tensor

from deploy.graph.traceable import make_traceable


@pytest.fixture(scope="module")
def backbone() -> Any:
    """Two stages, each with a plain and a shifted block; 40 × 56 pixels need padding to whole windows in both."""
    torch.manual_seed(0)
    sizes = {"embed_dims": 8, "depths": (2, 2), "num_heads": (1, 2), "window_size": 7, "strides": (4, 2)}
    built = SwinTransformer(**sizes, out_indices=(0, 1))
    built.eval()
    return built


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(3, 3, 40, 56, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_features_are_the_same_and_a_trace_of_two_images_serves_any_number(backbone: Any, images: Tensor) -> None:
    expected = backbone(images)
    make_traceable(backbone)
    assert all(torch.equal(got, wanted) for got, wanted in zip(backbone(images), expected, strict=True))
    batch = torch.export.Dim("batch")
    traced = torch.export.export(backbone, (images[:2],), dynamic_shapes={"x": {0: batch}}, strict=False).module()
    for count in (1, 2, 3):
        for got, wanted in zip(traced(images[:count]), expected, strict=True):
            torch.testing.assert_close(got, wanted[:count], rtol=1e-5, atol=1e-5)
