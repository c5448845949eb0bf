import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deploy.runtime.errors import ArtefactError
from deploy.timing.isolated import _run, run_isolated
from deploy.timing.latency import Plan
from deploy.timing.worker import Job


@pytest.fixture
def job(artefact: Path, dataset_dir: Path) -> Job:
    root = str(dataset_dir / "images/test")
    plan = Plan(warmup=1, warmup_limit=2, stable_within=0.05, iterations=3, seconds=10, noise_limit=0.2)
    annotations = str(dataset_dir / "test.json")
    return Job(str(artefact), "onnxruntime", annotations, root, (1, 2), None, plan, threads=1, pin=True)


def test_outcome_comes_back_from_the_other_process(job: Job, capfd: pytest.CaptureFixture[str]) -> None:
    ballast = np.ones(300 << 20, np.uint8)
    outcome = run_isolated(job)
    assert len(outcome.detections) == 4
    assert [entry.batch_size for entry in outcome.latency] == [1, 2]
    # What this process holds does not count: the peak is the worker's own.
    assert 20 << 20 < outcome.peak_memory_bytes < ballast.nbytes
    assert len(outcome.cores) == 1
    assert "onnxruntime batch 2" in capfd.readouterr().err


def test_backend_that_cannot_run_is_no_failure(job: Job) -> None:
    assert "CUDA" in run_isolated(replace(job, backend="onnxruntime-cuda")).reason


def test_crash_ends_with_the_last_words_of_the_worker(job: Job, broken_at_run_time: Path) -> None:
    with pytest.raises(ArtefactError, match=r"broken\.onnx: its benchmark under onnxruntime failed") as caught:
        run_isolated(replace(job, artefact=str(broken_at_run_time)))
    assert "Reshape" in str(caught.value)


def test_expected_error_of_the_worker_is_passed_on(job: Job, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=r"exit status 1(.|\n)*error: .*1\.png: cannot be read"):
        run_isolated(replace(job, image_root=str(tmp_path)))


def test_killed_worker_is_told_from_a_failed_one(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Python runs this file when it starts: the worker prints a word and dies as the kernel's memory killer would do it.
    suicide = "import os, sys\nprint('almost', file=sys.stderr, flush=True)\nos.kill(os.getpid(), 9)"
    (tmp_path / "sitecustomize.py").write_text(suicide)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ArtefactError, match=r"under onnxruntime was killed by signal 9; its last words:\nalmost"):
        run_isolated(job)


def test_only_the_end_of_a_long_output_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    status, tail = _run([sys.executable, "-c", "[print(n) for n in range(50_000)]"])
    assert (status, tail.splitlines()) == (0, [str(n) for n in range(49_980, 50_000)])
