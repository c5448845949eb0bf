import json

import pytest

from stages.report import main
from tests.pipeline.report.example_run import CROSSKD, TEACHER_MODEL, TWIN, example_params, write_run


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project's root with a params.yaml and the records of a run; JSON is YAML too."""
    params = example_params(report={"images": 1})
    (tmp_path / "params.yaml").write_text(params.model_dump_json(), encoding="utf-8")
    write_run(tmp_path, params, (TEACHER_MODEL, TWIN, CROSSKD), images=4)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_writes_the_report(project):
    main([])
    written = {path.name for path in (project / "reports").iterdir()}
    assert {"report.html", "report.md", "figures", "cards"} <= written
    assert sorted(path.name for path in (project / "reports" / "cards").glob("*.md")) == ["crosskd.md", "twin.md"]
    assert "crosskd reaches" in (project / "reports" / "report.md").read_text(encoding="utf-8")


def test_a_missing_record_ends_the_stage_with_its_name(project):
    (project / "reports" / "benchmark" / "crosskd.json").unlink()
    with pytest.raises(SystemExit, match=r"reports/benchmark/crosskd.json: no such record"):
        main([])


def test_detections_of_another_split_end_the_stage(project):
    foreign = [{"image_id": 99, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.9}]
    (project / "reports" / "detections" / "twin.json").write_text(json.dumps(foreign), encoding="utf-8")
    with pytest.raises(SystemExit, match="unknown image_id 99"):
        main([])
