"""Detectors of which no artefact can be made, from weights to numbers, by the function that the stage calls."""

import json
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from deploy.ladder.pytorch_rung import ScoreFiles, evaluate_model
from pipeline.checkpoints import save_weights
from pipeline.datasets.prepared import read_dataset
from pipeline.detection_error_records import DetectionErrors
from pipeline.operating_point_records import OperatingPoint
from pipeline.recipes import Recipe, build_detector
from tests.deploy.ladder.test_pytorch_rung import CLASSES, params, write_dataset
from tests.other_detectors import other_config


@pytest.mark.parametrize("name", ["cascade", "centernet", "dino"])
def test_it_is_measured_as_any_other(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    recipe = _recipe(name)
    weights = tmp_path / "weights.safetensors"
    save_weights(weights, build_detector(recipe).state_dict(), {})
    every = params(export={"models": ["small"], "max_detections": 20, "score_threshold": 0})
    write_dataset(tmp_path, [])
    evaluate_model(recipe, weights, tmp_path, every, tmp_path / "found.json")
    keys = ("image_id", "category_id", "bbox")
    boxes = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))[::3]
    write_dataset(tmp_path, [{key: item[key] for key in keys} | {"id": n} for n, item in enumerate(boxes)])
    split = read_dataset(tmp_path).splits["test"]
    read_dataset(tmp_path).model_copy(update={"splits": {"val": split}}).write(tmp_path / "dataset.json")
    scores = ScoreFiles(tmp_path / "point.json", tmp_path / "errors.json")
    record = evaluate_model(recipe, weights, tmp_path, every, tmp_path / "found.json", scores)
    assert record.accuracy.numbers.ap is not None
    assert 5 < record.accuracy.numbers.ap < 100
    assert record.complexity.flops is not None
    assert OperatingPoint.read(scores.point).measured_on == "val"
    assert DetectionErrors.read(scores.errors).kinds


def _recipe(name: str) -> Recipe:
    model = other_config(name)
    for head in _heads(model):
        head["num_classes"] = len(CLASSES)
    return Recipe(
        name="small",
        path=Path("configs/other.py"),
        config=Config({"model": model, "input_size": (64, 64)}),
        classes=CLASSES,
        method="none",
        sha256="0" * 64,
    )


def _heads(model: dict[str, object]) -> list[dict[str, object]]:
    found = model["bbox_head"] if "bbox_head" in model else model["roi_head"]["bbox_head"]  # type: ignore[index]
    return found if isinstance(found, list) else [found]  # type: ignore[list-item]
