"""Results read back from their file; what evaluation asks of them is tested in test_accuracy.py."""

import pytest

from pipeline.errors import PipelineError
from pipeline.evaluation.inputs import read_results


@pytest.mark.parametrize("content", ["[", '{"a": 1}', "[1]", '"text"'])
def test_damaged_results_are_named(tmp_path, content):
    path = tmp_path / "crosskd.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PipelineError, match=r"crosskd.json: not .*dvc repro"):
        read_results(path)


def test_missing_results_are_named(tmp_path):
    with pytest.raises(PipelineError, match=r"none.json: no such detections"):
        read_results(tmp_path / "none.json")
