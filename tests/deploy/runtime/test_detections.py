import numpy as np
import pytest

from deploy.runtime.detections import Detections, category_ids
from deploy.runtime.errors import ArtefactError

CLASSES = ("crown", "blob", "rock")


def make(labels: list[int]) -> Detections:
    count = len(labels)
    boxes = np.arange(4 * count, dtype=np.float32).reshape(count, 4) + np.array([0, 0, 3, 5], np.float32)
    scores = np.linspace(0.9, 0.1, count, dtype=np.float32)
    return Detections(boxes, scores, np.array(labels, np.int64), CLASSES)


def test_coco_boxes_are_left_top_width_height_with_the_data_sets_ids() -> None:
    results = make([2, 0]).to_coco(image_id=17, category_ids=[4, 1, 90])
    assert [(r["image_id"], r["category_id"], r["bbox"]) for r in results] == [
        (17, 90, [0, 1, 5, 7]),
        (17, 4, [4, 5, 5, 7]),
    ]
    assert [r["score"] for r in results] == pytest.approx([0.9, 0.1])
    assert all(type(value) is float for value in results[0]["bbox"])


def test_names_length_and_score_filter() -> None:
    found = make([2, 0, 1])
    assert (len(found), found.names) == (3, ["rock", "crown", "blob"])
    kept = found.above(0.5)
    assert kept.names == ["rock", "crown"]
    np.testing.assert_array_equal(kept.boxes, found.boxes[:2])
    assert len(found.above(0.95)) == 0
    assert found.above(0.95).to_coco(1, [1, 2, 3]) == []


@pytest.mark.parametrize(("boxes", "scores", "labels"), [((2, 4), 2, 1), ((2, 4), 1, 2), ((2, 5), 2, 2), ((0,), 0, 0)])
def test_arrays_of_other_lengths_are_refused(boxes: tuple[int, ...], scores: int, labels: int) -> None:
    with pytest.raises(ValueError, match="got the shapes"):
        Detections(np.zeros(boxes, np.float32), np.zeros(scores, np.float32), np.zeros(labels, np.int64), CLASSES)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_outside_the_classes_are_refused(label: int) -> None:
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.2"):
        make([0, label])


def test_category_ids_must_match_the_classes() -> None:
    with pytest.raises(ValueError, match="3 classes need as many category ids, got 2"):
        make([0]).to_coco(1, [1, 2])


def test_classes_are_matched_by_name_not_by_order() -> None:
    categories = [{"id": 5, "name": "blob"}, {"id": 2, "name": "crown"}]
    assert category_ids(("crown", "blob"), categories, "x.onnx") == [2, 5]
    assert category_ids(("blob", "crown"), categories, "x.onnx") == [5, 2]


def test_artefact_of_another_data_set_is_refused() -> None:
    with pytest.raises(ArtefactError, match=r"x\.onnx: .*only in the artefact \['dog'\], only in the data \['blob'\]"):
        category_ids(("crown", "dog"), [{"id": 1, "name": "crown"}, {"id": 2, "name": "blob"}], "x.onnx")
