"""PyTorch itself, the first rung of the ladder: built from a module, so it opens no files."""

import numpy as np
import torch
from mmdet.models.detectors.base import BaseDetector
from numpy.typing import NDArray

from deploy.graph.normalised_detector import NormalisedDetector
from deploy.graph.specification import describe
from deploy.graph.stock_detector import measured_module
from deploy.runtime.backends import RawDetections, closed
from deploy.runtime.detector import Detector
from pipeline.deploy_settings import ExportSettings
from pipeline.recipes import Recipe


class PytorchBackend:
    """Runs the module that is exported, or a stock detector in its place, eagerly, on the device that it is on.

    Threads share the module: its forward pass changes nothing in it.
    """

    name = "pytorch"

    def __init__(self, detector: NormalisedDetector) -> None:
        self.version = str(torch.__version__).split("+")[0]
        self.device: str = detector.canvas.device.type
        self.precision = detector.spec.precision
        self.threads = torch.get_num_threads()
        self.needs_sizes = detector.needs_sizes
        self._detector: NormalisedDetector | None = detector.eval()

    @torch.inference_mode()
    def run(self, images: NDArray[np.uint8], sizes: NDArray[np.int64] | None = None) -> RawDetections:
        """See :meth:`deploy.runtime.backends.Backend.run`."""
        # One reading: another thread may close the backend from here on.
        if (detector := self._detector) is None:
            raise closed(self.name)
        device = detector.canvas.device
        given = None if sizes is None else torch.tensor(sizes, device=device)
        outputs = detector(torch.tensor(images, device=device), given)
        return RawDetections(*(output.cpu().numpy() for output in outputs))

    def close(self) -> None:
        """See :meth:`deploy.runtime.backends.Backend.close`: the module stays its owner's."""
        self._detector = None


def pytorch_detector(
    recipe: Recipe, stock: BaseDetector, digest: str, dataset: str, settings: ExportSettings, batch_size: int
) -> Detector:
    """A trained detector between the resizing, decoding and NMS that its artefact would have.

    Args:
        recipe: the resolved recipe.
        stock: mmdet's detector with its weights, where it is to run.
        digest: SHA-256 of the weights.
        dataset: name of the prepared data set.
        settings: thresholds and sizes of the artefact.
        batch_size: images at once, where the size of the input is not open.
    """
    spec = describe(recipe, stock.data_preprocessor, digest, dataset, settings)
    # The canvas of a dynamic size depends on the batch, and artefacts are measured image by image.
    return Detector(spec, PytorchBackend(measured_module(stock, spec)), 1 if spec.dynamic_size else batch_size)
