"""The stage end to end on one image: both files are written, before a broken gate ends it."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from pipeline.checkpoints import save_weights
from pipeline.detection_error_records import DetectionErrors
from pipeline.operating_point_records import OperatingPoint
from pipeline.recipe_records import RecipeOrigin
from pipeline.recipes import ResolvedRecipe, build_detector, load_resolved, write_resolved
from pipeline.records import DatasetRecord, EvaluationRecord, SplitRecord
from stages.evaluate import main
from tests.pipeline.minimal_recipe import CONFIG

MODEL = {
    "type": "FCOS",
    "data_preprocessor": {"type": "DetDataPreprocessor", "mean": [0, 0, 0], "std": [255, 255, 255]},
    "backbone": {"type": "ResNet", "depth": 18, "base_channels": 4, "norm_cfg": {"type": "BN"}},
    "neck": {"type": "FPN", "in_channels": [4, 8, 16, 32], "out_channels": 8, "start_level": 1, "num_outs": 3},
    "bbox_head": {
        "type": "FCOSHead",
        "num_classes": 1,
        "in_channels": 8,
        "feat_channels": 8,
        "stacked_convs": 1,
        "strides": [8, 16, 32],
        "regress_ranges": ((-1, 64), (64, 128), (128, 1e8)),
        "norm_cfg": {"type": "GN", "num_groups": 4},
    },
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's root with one image, one box and an untrained student."""
    monkeypatch.chdir(tmp_path)
    prepared = tmp_path / "data/prepared"
    (prepared / "images").mkdir(parents=True)
    cv2.imwrite(str(prepared / "images/a.png"), np.full((64, 64, 3), 90, np.uint8))
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40], "area": 1200, "iscrowd": 0}],
        "categories": [{"id": 1, "name": "crown"}],
    }
    (prepared / "test.json").write_text(json.dumps(content), encoding="utf-8")
    split = SplitRecord(
        annotations="test.json",
        image_root="images",
        sha256="0" * 64,
        images=1,
        boxes=1,
        crowd_boxes=0,
        images_without_boxes=0,
        boxes_per_class={"crown": 1},
    )
    splits = {"val": split, "test": split}
    DatasetRecord(
        name="one", title="One", composed=True, classes=["crown"], splits=splits, credits=[], findings=[]
    ).write(prepared / "dataset.json")
    content = {"classes": ["crown"], "config": {**CONFIG, "model": MODEL}}
    resolved = ResolvedRecipe(content, RecipeOrigin(path="small.py", published={}))
    write_resolved(Path("build/recipes/small.json"), resolved)
    detector = build_detector(load_resolved(Path("build/recipes/small.json")))
    save_weights(Path("models/small/weights.safetensors"), detector.state_dict(), {})
    write_params(student_min_ap=None)
    return tmp_path


def write_params(student_min_ap: float | None) -> None:
    params = {
        "data": {"name": "coco_dir"},
        "teacher": {"config": "teacher.py"},
        "students": {"small": {"recipe": "small.py"}},
        "train": {"device": "cpu"},
        "evaluate": {"resamples": 3},
        "export": {"models": ["small"]},
        "benchmark": {"backends": ["onnxruntime"]},
        "gates": {"student_min_ap": student_min_ap},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")


def test_record_and_detections_are_written_before_the_gate_is_held(project: Path) -> None:
    main(["--model", "small"])
    record = EvaluationRecord.read(project / "reports/evaluation/small.json")
    assert (record.model, record.accuracy.images, record.accuracy.boxes) == ("small", 1, 1)
    detections = project / "reports/detections/small.json"
    assert isinstance(json.loads(detections.read_text(encoding="utf-8")), list)
    errors = DetectionErrors.read(project / "reports/errors/small.json")
    point = OperatingPoint.read(project / "reports/operating_point/small.json")
    assert (errors.split, errors.ap50, errors.score) == ("test", record.accuracy.numbers.ap50, point.score)
    first = (project / "reports/evaluation/small.json").read_bytes()

    (project / "reports/evaluation/small.json").unlink()
    write_params(student_min_ap=100.5)
    with pytest.raises(SystemExit, match=r"small has AP .* gates.student_min_ap in params.yaml asks for 100.5"):
        main(["--model", "small"])
    assert (project / "reports/evaluation/small.json").read_bytes() == first


def test_an_unknown_model_is_refused_with_the_known_ones(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--model", "smal"])
    error = capsys.readouterr().err
    assert "invalid choice: 'smal'" in error
    assert "small" in error
    assert "teacher" in error
