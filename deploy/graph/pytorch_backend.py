"""PyTorch itself, the first rung of the ladder: built from a module, so it opens no files."""

import numpy as np
import torch
from numpy.typing import NDArray

from deploy.graph.normalised_detector import NormalisedDetector
from deploy.runtime.backends import RawDetections, closed


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
