"""Pictures that are looked at mirrored too."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deploy import load
from deploy.labelling.views import MirroringDetector, merged, mirror
from deploy.runtime.detections import Detections

CLASSES = ("crown", "blob")


def detections(boxes: list[list[float]], scores: list[float], labels: list[int]) -> Detections:
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), np.array(labels, np.int64), CLASSES
    )


def test_a_mirrored_box_is_where_it_was_after_two_turns() -> None:
    found = detections([[1, 2, 5, 9]], [0.5], [1])
    assert mirror(found, 20).boxes.tolist() == [[15, 2, 19, 9]]
    assert mirror(mirror(found, 20), 20).boxes.tolist() == found.boxes.tolist()


def test_of_two_views_the_better_box_of_each_object_stays() -> None:
    one = detections([[0, 0, 10, 10], [50, 50, 60, 60]], [0.6, 0.3], [0, 1])
    other = detections([[0, 0, 10, 11], [0, 0, 10, 10]], [0.9, 0.2], [0, 1])
    both = merged(one, other, 0.6)
    assert both.scores.tolist() == pytest.approx([0.9, 0.3, 0.2])
    assert both.labels.tolist() == [0, 1, 1]


def test_nothing_in_either_view_is_nothing() -> None:
    none = detections([], [], [])
    assert len(merged(none, none, 0.6)) == 0


def test_both_views_of_a_picture_give_one_box(artefact: Path, red_box: Callable[..., np.ndarray]) -> None:
    with load(artefact) as detector:
        image = red_box(64, 96, (10, 10, 40, 30))
        alone, mirroring = detector(image), MirroringDetector(detector, 0.6)
        both, ((timed,), _) = mirroring(image), mirroring.timed([image])
    assert timed.boxes.tolist() == both.boxes.tolist()
    assert len(alone) == len(both) == 1
    np.testing.assert_allclose(both.boxes, alone.boxes, atol=2)
