"""Strides and widths of FPN outputs are those of maps."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.detectors import Level, pyramid_of
from pipeline.errors import RecipeError
from tests.other_detectors import other_detector


@pytest.mark.parametrize(
    ("name", "strides", "width"),
    [("cascade", [4, 8, 16, 32, 64], 16), ("centernet", [4], 16), ("dino", [8, 16, 32, 64], 256)],
)
def test_every_map_is_told_without_touching_the_detector(name: str, strides: list[int], width: int) -> None:
    detector = other_detector(name).train()
    before = {key: value.clone() for key, value in detector.state_dict().items()}
    modes = [module.training for module in detector.modules()]
    assert pyramid_of(detector) == [Level(stride, width) for stride in strides]
    assert modes == [module.training for module in detector.modules()]
    assert all(torch.equal(value, before[key]) for key, value in detector.state_dict().items())


def test_a_neck_that_does_not_fit_is_an_error_with_the_reason() -> None:
    detector = other_detector("dino")
    detector.backbone.out_indices = (0, 1, 2)
    with pytest.raises(RecipeError, match=r"DINO: backbone and neck do not run on a picture .*channel"):
        pyramid_of(detector)


@pytest.mark.parametrize("found", [{"P3": 1}, [torch.zeros(1, 3)]])
def test_what_is_no_list_of_maps_is_refused(found: Any) -> None:
    class Odd(nn.Module):
        def extract_feat(self, images: Tensor) -> Any:
            return found

    with pytest.raises(RecipeError, match=r"Odd.extract_feat gives a (dict|list) and no maps"):
        pyramid_of(Odd())
