"""The synthetic data set is what it says, and a part is measured."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scale import voc, yolo
from benchmarks.scale.__main__ import cost
from benchmarks.scale.finished_run import parameters, write_finished_run
from benchmarks.scale.synthetic import boxes_on, detections_on
from pipeline.records import DatasetRecord
from pipeline.report.collect import collect
from pipeline.report.render import write_report


def test_boxes_and_detections_come_from_the_seed_and_lie_on_the_images() -> None:
    made = []
    for _ in range(2):
        random = np.random.default_rng(3)
        boxes = boxes_on(40, random)
        made.append((boxes, detections_on(40, boxes, random)))
    assert made[0] == made[1]
    boxes, found = made[0]
    assert len(boxes) == 292
    assert len(found) == 4000
    assert {item["image_id"] for item in found} == set(range(1, 41))
    assert all(box["bbox"][0] >= 0 and box["bbox"][0] + box["bbox"][2] <= 640 for box in boxes)


@pytest.mark.parametrize(("part", "size"), [("resume", 2000), ("errors", 20)])
def test_a_part_is_measured(part: str, size: int) -> None:
    seconds, megabytes, note = cost(part, size)
    assert float(seconds) >= 0
    assert float(megabytes) >= 0
    assert note == ""


def test_both_kinds_of_labels_are_those_of_the_boxes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = []
    for part in (yolo, voc):
        part.prepare(60)()
        (folder,) = tmp_path.glob("*/prepared")
        found.append(DatasetRecord.read(folder / "dataset.json"))
        shutil.rmtree(folder.parent)
    for record in found:
        # As many boxes as are drawn for 60 and for 100 images.
        assert [(split.images, split.boxes) for split in record.splits.values()] == [(60, 438), (100, 730)]
    names = {name: count for name, count in found[0].splits["train"].boxes_per_class.items() if count}
    assert names == {name: count for name, count in found[1].splits["train"].boxes_per_class.items() if count}


@pytest.mark.slow
def test_the_report_of_a_finished_run_is_small(tmp_path: Path) -> None:
    write_finished_run(tmp_path, images=30, log_lines=600, evaluated=24)
    write_report(parameters(), tmp_path)
    results = collect(parameters(), tmp_path)
    assert results.split.images == 30
    assert [len(model.runs) for model in results.models] == [9] * 5
    assert [len(model.training.points) for model in results.models if model.training] == [600] * 4
    page = (tmp_path / "reports/report.html").read_text(encoding="utf-8")
    assert page.count('<svg class="photo"') == 6 * 6
    assert len(page) < 1.5e6
