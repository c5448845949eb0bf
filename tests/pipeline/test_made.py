"""What ``make repro`` says at its end."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import PipelineError
from pipeline.layout import ARTEFACTS, SUMMARY
from pipeline.made import made
from pipeline.storage import write_atomic


def test_the_reports_first_sentence_and_where_things_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomic(SUMMARY, "Ship artefacts/twin.int8.onnx: 59.9 AP.\n")
    for name in ("twin.onnx", "twin.int8.onnx", "engines/twin/twin.engine"):
        write_atomic(ARTEFACTS / name, "")
    assert made() == [
        "report: reports/report.html; table: reports/metrics.json (dvc metrics show); 2 ONNX files: artefacts/",
        "Ship artefacts/twin.int8.onnx: 59.9 AP.",
    ]


def test_without_a_report_it_says_what_makes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match=r"reports/summary\.txt: no such file; `dvc repro report` writes it"):
        made()


def test_it_loads_nothing_that_takes_time() -> None:
    program = "import sys, pipeline.made; print({'torch', 'mmengine', 'pydantic', 'numpy', 'cv2'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
