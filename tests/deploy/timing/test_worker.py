import json
from pathlib import Path

import pytest

from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.errors import ImageError
from deploy.runtime.split_detections import detect_split
from deploy.timing import worker
from deploy.timing.latency import Plan
from deploy.timing.worker import Job, run_job


def job(artefact: Path, dataset: Path, backend: str = "onnxruntime", **changes: object) -> Job:
    values = {
        "artefact": str(artefact),
        "backend": backend,
        "annotations": str(dataset / "test.json"),
        "image_root": str(dataset / "images/test"),
        "batch_sizes": (1, 8),
        "max_call_ms": None,
        "plan": Plan(warmup=1, warmup_limit=2, stable_within=0.05, iterations=4, seconds=10, noise_limit=0.2),
        "threads": 1,
        "pin": False,  # the tests' own process
    }
    return Job(**{**values, **changes})


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_outcome_holds_every_detection_and_every_batch_size(backend: str, artefact: Path, dataset_dir: Path) -> None:
    outcome = run_job(job(artefact, dataset_dir, backend))
    truth = {a["image_id"]: a for a in json.loads((dataset_dir / "test.json").read_text())["annotations"]}
    assert len(outcome.detections) == len(truth) == 4
    for found in outcome.detections.results():
        assert found["bbox"] == truth[found["image_id"]]["bbox"]
        assert found["category_id"] == 7
    assert [(entry.batch_size, entry.calls) for entry in outcome.latency] == [(1, 4), (8, 4)]
    assert all(entry.decoding > 0 for entry in outcome.latency)
    assert (outcome.reason, outcome.sweep_end, outcome.sweep_reason, outcome.gpu_unseen) == ("", "complete", "", "")
    assert (outcome.threads, outcome.cores) == (1, ())
    assert outcome.load_ms > 0
    assert outcome.peak_memory_bytes > 10 << 20


def test_the_peak_of_memory_is_read_before_detections_are_collected(
    artefact: Path, dataset_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collected: list[DetectionColumns] = []

    def collect(*arguments: object) -> DetectionColumns:
        collected.append(detect_split(*arguments))
        return collected[-1]

    monkeypatch.setattr(worker, "detect_split", collect)
    monkeypatch.setattr(worker, "peak_memory", lambda: (100 << 20) + len(collected))
    outcome = run_job(job(artefact, dataset_dir))
    assert (len(collected), len(outcome.detections)) == (1, 4)
    assert outcome.peak_memory_bytes == 100 << 20


def test_backend_that_cannot_run_gives_the_reason(artefact: Path, dataset_dir: Path) -> None:
    outcome = run_job(job(artefact, dataset_dir, "onnxruntime-cuda"))
    assert "CUDA" in outcome.reason
    assert (outcome.latency, len(outcome.detections), outcome.peak_memory_bytes) == ((), 0, None)


def test_unreadable_image_stops_the_run_by_name(artefact: Path, dataset_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"1\.png: cannot be read"):
        run_job(job(artefact, dataset_dir, image_root=str(tmp_path)))
