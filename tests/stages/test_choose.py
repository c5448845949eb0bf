from pathlib import Path

import pytest
import yaml

from pipeline.deploy_records import BenchmarkRecord, ComparedRung, ComparisonRecord
from pipeline.evaluation import evaluate_detections
from pipeline.shipping_records import ShippingChoice
from stages.choose import main
from tests.deploy.measured import timed_run
from tests.deploy.tiny import write_dataset


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files that finished benchmarks and turns leave in the project's root, without a test split."""
    monkeypatch.chdir(tmp_path)
    data = write_dataset(Path("data/prepared"), [(10, 10, 40, 30)], splits=("val",))
    accuracy = evaluate_detections(data / "test.json", [], "val")
    rungs = []
    for model, milliseconds in (("teacher", 5.0), ("twin", 2.0)):
        run = timed_run("onnxruntime", milliseconds).model_copy(update={"accuracy": accuracy})
        record = BenchmarkRecord(model=model, images=1, torch_ap=0.0, torch_interval=None, artefacts=[], runs=[run])
        record.write(Path(f"reports/benchmark/{model}.json"))
        rungs.append(
            ComparedRung(
                model=model,
                artefact="fp32",
                backend="onnxruntime",
                precision="fp32",
                group=0,
                calls=1,
                milliseconds=milliseconds,
                times_as_fast=1,
                low=1,
                high=1,
            )
        )
    ComparisonRecord(batch_size=1, groups=[], rungs=rungs, absent=[]).write(Path("reports/comparison.json"))
    params = {
        "data": {"name": "digits"},
        "teacher": {"config": "t.py"},
        "students": {"twin": {"recipe": "s.py"}},
        "export": {"models": ["teacher", "twin"]},
        "benchmark": {"backends": ["onnxruntime"], "threads": 1, "pin": False},
        "report": {"max_ap_loss": 2.5},
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))


def test_writes_what_ships_of_the_students() -> None:
    main([])
    found = ShippingChoice.read(Path("reports/chosen.json"))
    assert ([each.model for each in found.candidates], found.split, found.max_ap_loss) == (["twin"], "val", 2.5)


def test_a_comparison_that_was_not_made_is_named() -> None:
    Path("reports/comparison.json").unlink()
    with pytest.raises(SystemExit, match=r"reports/comparison\.json: no such record"):
        main([])
