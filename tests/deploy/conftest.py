"""What the tests of the run-time half share."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deploy.runtime.artefact import ArtefactSpec
from tests.deploy.tiny import SPEC, write_artefact, write_broken_artefact, write_dataset, write_dynamic_artefact

Write = Callable[..., Path]


@pytest.fixture
def spec() -> ArtefactSpec:
    return SPEC


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artefact(tmp_path_factory.mktemp("artefacts") / "tiny.onnx")


@pytest.fixture(scope="session")
def dynamic_artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dynamic_artefact(tmp_path_factory.mktemp("artefacts") / "dynamic.onnx")


@pytest.fixture(scope="session")
def exported_gfl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real detector with random weights, exported: the one of `stock.stock_detector()`."""
    from deploy.graph.export import export_onnx
    from deploy.graph.exported_module import DeployableDetector
    from tests.deploy.stock import spec, stock_detector

    path = tmp_path_factory.mktemp("artefacts") / "gfl.onnx"
    export_onnx(DeployableDetector(stock_detector(), spec(10)), path, opset=18)
    return path


@pytest.fixture(scope="session")
def exported_faster_rcnn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one of `stock.two_stage_detector()`."""
    from deploy.graph.export import export_onnx
    from deploy.graph.exported_module import DeployableDetector
    from tests.deploy.stock import spec, two_stage_detector

    path = tmp_path_factory.mktemp("artefacts") / "many.onnx"
    export_onnx(DeployableDetector(two_stage_detector(), spec(10)), path, opset=18)
    return path


@pytest.fixture
def write() -> Write:
    return write_artefact


@pytest.fixture
def red_box() -> Callable[..., np.ndarray]:
    """BGR image of ``height`` x ``width`` with a pure red rectangle (x1, y1, x2, y2)."""

    def make(height: int, width: int, box: tuple[int, int, int, int]) -> np.ndarray:
        image = np.zeros((height, width, 3), np.uint8)
        image[box[1] : box[3], box[0] : box[2], 2] = 255
        return image

    return make


@pytest.fixture(scope="session")
def dataset_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    boxes = [(10, 10, 40, 30), (4, 20, 90, 60), (50, 2, 60, 50), (0, 0, 20, 20)]
    return write_dataset(tmp_path_factory.mktemp("red") / "prepared", boxes)


@pytest.fixture
def broken_at_run_time(tmp_path: Path) -> Path:
    return write_broken_artefact(tmp_path / "broken.onnx")
