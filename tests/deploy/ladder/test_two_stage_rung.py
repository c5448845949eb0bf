"""A Faster R-CNN from weights to numbers and to an artefact, by the functions that the stages call."""

import json
from pathlib import Path

import pytest
from mmengine.config import Config

from deploy.graph.export import check_gates, export_model
from deploy.ladder.pytorch_rung import evaluate_model
from pipeline.checkpoints import save_weights
from pipeline.recipes import Recipe
from pipeline.settings import Gates
from tests.deploy.ladder.test_pytorch_rung import CLASSES, params, write_dataset
from tests.pipeline.distillers.faster_rcnn import config, make_faster

RECIPE = Recipe(
    name="small",
    path=Path("configs/faster.py"),
    config=Config({"model": config(num_classes=2), "input_size": (64, 64)}),
    classes=CLASSES,
    method="CSKD",
    sha256="0" * 64,
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_weights(path, make_faster(num_classes=2).state_dict(), {})
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Path:
    """Ground truth that is partly what the detector finds, so that its AP is between 0 and 100."""
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, [])
    evaluate_model(RECIPE, weights, folder, params(), folder / "found.json")
    boxes = json.loads((folder / "found.json").read_text(encoding="utf-8"))[::3]
    keys = ("image_id", "category_id", "bbox")
    write_dataset(folder, [{key: item[key] for key in keys} | {"id": n} for n, item in enumerate(boxes)])
    return folder


def test_it_is_evaluated(dataset: Path, weights: Path, tmp_path: Path) -> None:
    record = evaluate_model(RECIPE, weights, dataset, params(), tmp_path / "found.json")
    assert record.accuracy.numbers.ap is not None
    assert 5 < record.accuracy.numbers.ap < 100
    detector = make_faster(num_classes=2)
    assert record.complexity.parameters == sum(parameter.numel() for parameter in detector.parameters())
    assert len(json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))) > 20


def test_it_is_exported_within_the_gates(dataset: Path, weights: Path, tmp_path: Path) -> None:
    record = export_model(RECIPE, weights, dataset, "test", params().export, tmp_path / "small.onnx")
    assert record.check.detections > 20
    check_gates(record, Gates())
