import numpy as np
import torch

from deploy.graph.exported_module import DeployableDetector
from deploy.graph.pytorch_backend import PytorchBackend
from deploy.runtime.backends import Backend
from deploy.runtime.detector import Detector
from tests.deploy import threads
from tests.deploy.stock import noise_images, spec, stock_detector


def test_runs_the_module_itself() -> None:
    detector = DeployableDetector(stock_detector(), spec(10))
    backend: Backend = PytorchBackend(detector)
    images = noise_images(2).numpy()
    images.setflags(write=False)
    raw = backend.run(images)
    with torch.no_grad():
        expected = detector(noise_images(2))
    for output, tensor in zip((raw.boxes, raw.scores, raw.labels, raw.num_dets), expected, strict=True):
        assert isinstance(output, np.ndarray)
        np.testing.assert_array_equal(output, tensor.numpy())
    assert (backend.name, backend.device, backend.precision) == ("pytorch", "cpu", "fp32")
    assert torch.__version__.startswith(backend.version)
    assert backend.threads == torch.get_num_threads()


def test_threads_get_the_results_of_their_own_images() -> None:
    backend = PytorchBackend(DeployableDetector(stock_detector(), spec(10)))
    threads.assert_threads_change_nothing(backend, noise_images(8).numpy()[:, None])


def test_closing_it_while_threads_run_ends_them_with_a_sentence() -> None:
    backend = PytorchBackend(DeployableDetector(stock_detector(), spec(10)))
    threads.assert_closing_is_clear(backend, noise_images(4).numpy()[:, None])


def test_serves_the_detector_object() -> None:
    artefact = spec(10)
    image = noise_images(1, 64, 96).numpy()[0]
    found = Detector(artefact, PytorchBackend(DeployableDetector(stock_detector(), artefact)))(image)
    assert len(found) > 0
    assert (found.boxes[:, 2:] <= [96, 64]).all()
