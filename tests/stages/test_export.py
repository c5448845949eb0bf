import json
from pathlib import Path

import pytest
import torch
import yaml

from deploy.runtime.artefact import read_spec
from pipeline.checkpoints import save_weights
from pipeline.datasets.prepared import read_dataset
from pipeline.deploy_records import ExportRecord
from pipeline.operating_point_records import OperatingPoint
from pipeline.recipes import build_detector, load_resolved, resolve, write_resolved
from pipeline.storage import sha256_of
from stages.export import main
from tests.deploy.tiny import write_dataset

ROOT = Path(__file__).parents[2]
RECORD, ARTEFACT = Path("reports/export/twin.json"), Path("artefacts/twin.onnx")
POINT = OperatingPoint(score=0.47, chosen_on="val", chosen=None, measured_on="test", measured=None, classes=[])
RECIPE, WEIGHTS = Path("build/recipes/twin.json"), Path("models/twin/weights.safetensors")


def params(dynamic_size: bool = False, **gates: float | None) -> str:
    content = {
        "data": {"name": "digits"},
        "teacher": {"config": "t.py"},
        "students": {"twin": {"recipe": "s.py"}},
        "export": {"models": ["twin"], "check_images": 3, "score_threshold": 0.01, "dynamic_size": dynamic_size},
        "benchmark": {"backends": ["onnxruntime"]},
        "gates": gates,
    }
    return yaml.safe_dump(content)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that the data set, the recipes and a finished training leave in the project's root."""
    monkeypatch.chdir(tmp_path)
    dataset = write_dataset(Path("data/prepared"), [(10, 10, 40, 30), (4, 20, 90, 60), (0, 0, 20, 20), (50, 5, 70, 60)])
    recipe = ROOT / "configs/students/twin_gfl_r18w16_embedded.py"
    short = {"input_size": (128, 128), "model.bbox_head.stacked_convs": 1}  # an export takes time by the node
    write_resolved(RECIPE, resolve(recipe, read_dataset(dataset), short))
    torch.manual_seed(0)
    detector = build_detector(load_resolved(RECIPE))
    torch.nn.init.constant_(detector.bbox_head.gfl_cls.bias, -4.0)
    torch.nn.init.normal_(detector.bbox_head.gfl_cls.weight, std=0.05)
    save_weights(WEIGHTS, detector.state_dict(), {})
    POINT.write(Path("reports/operating_point/twin.json"))
    Path("params.yaml").write_text(params())


def test_writes_artefact_and_record_then_holds_the_gates() -> None:
    Path("params.yaml").write_text(params(export_max_box_difference_px=0.0))
    with pytest.raises(SystemExit, match=r"gates\.export_max_box_difference_px: .* is above the limit 0"):
        main(["--model", "twin"])
    record = ExportRecord.read(RECORD)
    spec = read_spec(ARTEFACT)
    assert (record.model, record.file, record.opset) == ("twin", "artefacts/twin.onnx", 18)
    assert record.sha256 == sha256_of(ARTEFACT)
    assert (spec.classes, spec.input_height, spec.input_width) == (("crown", "blob"), 128, 128)
    assert (spec.pad_value, spec.color_order, spec.dataset) == ((104, 116, 124), "bgr", "red")
    assert (spec.recipe_sha256, spec.weights_sha256) == (load_resolved(RECIPE).sha256, sha256_of(WEIGHTS))
    assert json.loads(record.metadata["score_threshold"]) == 0.01
    assert spec.recommended_score == 0.47
    assert (record.check.images, record.check.matched) == (3, 1.0)
    assert record.check.detections > 3
    assert 0 < record.check.max_box_difference_px < 0.1


def test_of_dynamic_size_within_the_gates() -> None:
    Path("params.yaml").write_text(params(dynamic_size=True, export_max_box_difference_px=0.1, export_min_matched=1.0))
    main(["--model", "twin"])
    record, spec = ExportRecord.read(RECORD), read_spec(ARTEFACT)
    assert (spec.resize_rule, spec.scale, spec.size_divisor) == ("keep_ratio", (256, 256), 32)
    assert (record.check.images, record.check.matched) == (3, 1.0)
    assert [tensor.shape for tensor in record.inputs] == [["batch", "height", "width", 3], ["batch", 2]]


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        (RECIPE, r"build/recipes/twin\.json: no such resolved recipe"),
        (WEIGHTS, r"models/twin/weights\.safetensors: no such file"),
        (Path("reports/operating_point/twin.json"), r"operating_point/twin\.json: no such record"),
        (Path("data/prepared/dataset.json"), r"data/prepared/dataset\.json: no such record"),
        (Path("data/prepared/images/test/1.png"), r"images/test/1\.png: cannot be read"),
    ],
)
def test_missing_input_is_named(missing: Path, message: str) -> None:
    missing.unlink()
    with pytest.raises(SystemExit, match=message):
        main(["--model", "twin"])
    assert not RECORD.exists()
