"""From which score on a box of a class is one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deploy.labelling.thresholds import class_thresholds, is_sure
from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.split import Split


def columns(category: list[int], score: list[float]) -> DetectionColumns:
    count = len(score)
    return DetectionColumns(
        image=np.ones(count, np.int64),
        category=np.array(category, np.int64),
        box=np.tile([0.0, 0, 10, 10], (count, 1)),
        score=np.array(score, float),
    )


def test_each_class_has_the_score_of_its_own_best_f1_and_none_where_nothing_is_right() -> None:
    box = {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0}
    categories = [{"id": 7, "name": "b"}, {"id": 3, "name": "a"}]
    split = Split([{"id": 1, "file_name": "a.png", "width": 20, "height": 20}], categories, [box])
    # The best box of a class is right, the second one is a duplicate; of class 7 there is nothing to find.
    thresholds = class_thresholds(split, columns([3, 3, 7], [0.8, 0.4, 0.9]))
    assert thresholds == {3: 0.6, 7: None}


@given(st.lists(st.tuples(st.sampled_from([3, 7]), st.floats(0, 1)), max_size=20))
def test_what_is_sure_reaches_its_classs_threshold(found: list[tuple[int, float]]) -> None:
    given_columns = columns([category for category, _ in found], [score for _, score in found])
    sure = is_sure(given_columns, {3: 0.5, 7: None})
    assert sure.tolist() == [category == 3 and score >= 0.5 for category, score in found]
