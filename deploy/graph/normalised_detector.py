"""A stock detector that takes what an artefact takes: uint8 images, from which it makes the network's input itself."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from deploy.graph.specification import normalisation
from deploy.runtime.artefact import ArtefactSpec
from pipeline.errors import RecipeError


class Outputs(NamedTuple):
    """The outputs of an artefact (see :class:`deploy.runtime.artefact.ArtefactSpec`), as tensors."""

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    num_dets: Tensor


class NormalisedDetector(nn.Module):
    """A stock mmdet detector and the normalisation of its data preprocessor.

    Args:
        detector: put into eval mode and used as it is; its weights are shared, not copied.
        spec: input size and colour order.

    Raises:
        RecipeError: the input is no multiple of what the data preprocessor pads to.
    """

    # mmdet's classes have no type stubs, and nn.Module gives every attribute the type "Tensor or Module".
    detector: Any
    mean: Tensor
    std: Tensor
    channels: Tensor
    canvas: Tensor

    def __init__(self, detector: nn.Module, spec: ArtefactSpec) -> None:
        super().__init__()
        self.detector = detector
        self.spec = spec
        self.eval()
        self._register_normalisation(self.detector.data_preprocessor)
        canvas = [spec.input_width, spec.input_height] * 2
        self.register_buffer("canvas", self.mean.new_tensor(canvas), persistent=False)

    @property
    def needs_sizes(self) -> bool:
        """Whether it is told how much of the canvas each image fills."""
        return self.spec.dynamic_size

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 [N, H, W, 3] to the network's input, float32 [N, 3, H, W]."""
        # TensorRT takes uint8 as a network's input and lets no operator but the cast read it.
        pixels = images.float().permute(0, 3, 1, 2).index_select(1, self.channels)
        return (pixels - self.mean) / self.std

    def _register_normalisation(self, preprocessor: Any) -> None:
        spec = self.spec
        divisor = preprocessor.pad_size_divisor
        if spec.input_height % divisor or spec.input_width % divisor:
            raise RecipeError(
                f"input_size {spec.input_height}x{spec.input_width} is no multiple of the data_preprocessor's "
                f"pad_size_divisor {divisor}; choose a multiple"
            )
        # mmdet's own input is BGR, as decoded.
        reverse = preprocessor._channel_conversion != (spec.color_order == "rgb")
        order = [2, 1, 0] if reverse else [0, 1, 2]
        mean, std = normalisation(preprocessor)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        self.register_buffer("channels", torch.tensor(order, device=mean.device), persistent=False)


def without_padding(pixels: Tensor, sizes: Tensor) -> Tensor:
    """``pixels`` [N, 3, H, W], zero outside of the ``sizes`` [N, 2] of the images."""
    rows, columns = (
        torch.arange(pixels.shape[axis], device=pixels.device) < sizes[:, axis - 2, None] for axis in (2, 3)
    )
    return torch.where(rows[:, None, :, None] & columns[:, None, None, :], pixels, 0.0)
