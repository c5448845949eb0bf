"""The synthetic data set is what it says, and a part is measured."""

import numpy as np

from benchmarks.scale.__main__ import cost
from benchmarks.scale.synthetic import boxes_on, detections_on


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
    seconds, megabytes = cost("resume", 2000)
    assert float(seconds) >= 0
    assert float(megabytes) >= 0
