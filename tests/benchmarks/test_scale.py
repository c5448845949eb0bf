"""The synthetic data set is what it says, and a part is measured."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.scale.__main__ import cost
from benchmarks.scale.finished_run import parameters, write_finished_run
from benchmarks.scale.synthetic import boxes_on, detections_on
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


def test_a_part_is_measured() -> None:
    seconds, megabytes, note = cost("resume", 2000)
    assert float(seconds) >= 0
    assert float(megabytes) >= 0
    assert note == ""


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
