"""What resampling rests on; its AP is held against pycocotools in test_bootstrap.py."""

import numpy as np
import pytest

from pipeline.evaluation.coco_matching import ClassMatches
from pipeline.evaluation.resampled_ap import RECALL_THRESHOLDS, resampled_class_ap, true_positives_needed


def test_thresholds_are_reached_where_division_and_comparison_say() -> None:
    boxes = np.arange(1, 1500)
    needed = true_positives_needed(boxes)
    for place, count in enumerate(boxes):
        recall = np.arange(count + 1) / count
        np.testing.assert_array_equal(needed[:, place], np.searchsorted(recall, RECALL_THRESHOLDS))


@pytest.mark.parametrize("cells", [1, 8, 64, 1 << 14])
def test_blocks_give_the_same_bits(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    random = np.random.default_rng(0)
    count, images = 200, 12
    matched = random.random((10, count)) < 0.3
    matches = ClassMatches(
        image=np.sort(random.integers(images, size=count)),
        score=-np.sort(-random.random(count)),
        matched=matched,
        ignored=matched & (random.random((10, count)) < 0.2),
        boxes=np.full(images, 20),
    )
    draws = random.integers(0, 4, (images, 30)).astype(np.float32)
    whole = resampled_class_ap(matches, draws)
    monkeypatch.setattr("pipeline.evaluation.resampled_ap._CELLS_IN_CACHE", cells)
    np.testing.assert_array_equal(resampled_class_ap(matches, draws), whole)
