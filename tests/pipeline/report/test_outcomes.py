import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.evaluation.inputs import read_ground_truth
from pipeline.report.outcomes import DrawnBox, Outcome, choose_images, judge, truth_boxes


def _truth(tmp_path, boxes, images=2):
    """``boxes``: (image, category, bbox) or with a fourth entry, iscrowd."""
    size = {"width": 100, "height": 100}
    content = {
        "images": [{"id": index + 1, "file_name": f"{index}.png", **size} for index in range(images)],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
        "annotations": [
            {"id": index, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": int(bool(crowd))}
            for index, (image, category, bbox, *crowd) in enumerate(boxes)
        ],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return read_ground_truth(path)


def _found(image, category, bbox, score):
    return {"image_id": image, "category_id": category, "bbox": bbox, "score": score}


def _kinds(outcome):
    return [(box.kind, box.name, box.score) for box in outcome.boxes]


def test_right_wrong_and_missed(tmp_path):
    truth = _truth(tmp_path, [(1, 1, [0, 0, 10, 10]), (1, 1, [50, 50, 10, 10]), (2, 2, [0, 0, 10, 10])])
    results = [
        _found(1, 1, [0, 0, 10, 6], 0.9),  # IoU 0.6
        _found(1, 1, [50, 50, 10, 4.9], 0.8),  # IoU 0.49
        _found(2, 1, [0, 0, 10, 10], 0.7),  # another class
    ]
    outcomes = judge(truth, results, 0.3)
    assert _kinds(outcomes[1]) == [("missed", "cat", None), ("wrong", "cat", 0.8), ("right", "cat", 0.9)]
    assert outcomes[1].boxes[-1].corners == (0, 0, 10, 6)
    assert sorted(_kinds(outcomes[2])) == [("missed", "dog", None), ("wrong", "cat", 0.7)]
    assert outcomes[1].f1 == pytest.approx(2 / (2 + 1 + 1))
    assert outcomes[2].f1 == 0


def test_a_box_is_found_once_by_the_best_score(tmp_path):
    truth = _truth(tmp_path, [(1, 1, [0, 0, 10, 10])])
    outcomes = judge(truth, [_found(1, 1, [0, 0, 10, 9], 0.5), _found(1, 1, [0, 0, 10, 8], 0.6)], 0.3)
    assert _kinds(outcomes[1]) == [("wrong", "cat", 0.5), ("right", "cat", 0.6)]


def test_detections_below_the_threshold_do_not_count(tmp_path):
    truth = _truth(tmp_path, [(1, 1, [0, 0, 10, 10])])
    results = [_found(1, 1, [0, 0, 10, 10], 0.3), _found(1, 1, [70, 70, 10, 10], 0.299)]
    assert _kinds(judge(truth, results, 0.3)[1]) == [("right", "cat", 0.3)]
    assert _kinds(judge(truth, results, 0.31)[1]) == [("missed", "cat", None)]


def test_a_crowd_is_neither_found_nor_missed(tmp_path):
    truth = _truth(tmp_path, [(1, 1, [0, 0, 50, 50], "crowd"), (1, 1, [80, 80, 10, 10])])
    outcomes = judge(truth, [_found(1, 1, [5, 5, 10, 10], 0.9)], 0.3)
    assert _kinds(outcomes[1]) == [("missed", "cat", None)]
    assert [box.kind for box in truth_boxes(truth, 1)] == ["crowd", "truth"]


def test_an_empty_image_without_detections_is_perfect(tmp_path):
    truth = _truth(tmp_path, [(1, 1, [0, 0, 10, 10])])
    assert judge(truth, [], 0.3)[2].f1 == 1.0
    assert judge(truth, [_found(2, 1, [0, 0, 5, 5], 0.9)], 0.3)[2].f1 == 0.0


def test_results_of_another_split_are_refused(tmp_path):
    with pytest.raises(PipelineError, match="unknown image_id 9"):
        judge(_truth(tmp_path, []), [_found(9, 1, [0, 0, 1, 1], 0.9)], 0.3)


def _outcome(right, errors):
    box = DrawnBox((0, 0, 1, 1), "cat", "right")
    return Outcome((*[box] * right, *[DrawnBox((0, 0, 1, 1), "cat", "missed")] * errors))


def test_images_are_the_middles_of_equal_parts_from_easy_to_hard(tmp_path):
    truth = _truth(tmp_path, [(index, 1, [0, 0, 10, 10]) for index in range(1, 7)], images=7)
    right = {1: 0, 2: 5, 3: 1, 4: 4, 5: 2, 6: 3}  # image 7 has no boxes
    outcomes = {image: _outcome(count, 5 - count) for image, count in right.items()} | {7: _outcome(0, 0)}
    # Easy to hard: 2 4 | 6 5 | 3 1, the later one of each pair is its middle.
    scores = {image: outcome.f1 for image, outcome in outcomes.items()}
    assert choose_images(truth, [scores], 3) == [4, 5, 1]
    assert choose_images(truth, [scores], 6) == [2, 4, 6, 5, 3, 1]
    assert choose_images(truth, [scores], 100) == [2, 4, 6, 5, 3, 1]


def test_the_ranking_is_the_mean_over_the_models(tmp_path):
    truth = _truth(tmp_path, [(1, 1, [0, 0, 9, 9]), (2, 1, [0, 0, 9, 9])])
    good, bad, fair = _outcome(4, 0).f1, _outcome(0, 4).f1, _outcome(3, 1).f1
    assert choose_images(truth, [{1: good, 2: fair}, {1: bad, 2: fair}], 2) == [2, 1]


def test_images_without_boxes_are_shown_where_there_are_no_others(tmp_path):
    truth = _truth(tmp_path, [])
    outcomes = judge(truth, [_found(1, 1, [0, 0, 5, 5], 0.9)], 0.3)
    assert choose_images(truth, [outcomes.f1], 2) == [2, 1]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2), st.booleans()), max_size=12),
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 2), st.integers(0, 90)), max_size=12),
)
def test_the_f1_of_all_images_are_those_of_each(tmp_path_factory, boxes, found):
    boxes = [(image, category, [9 * place, 0, 9, 9], crowd) for place, (image, category, crowd) in enumerate(boxes)]
    truth = _truth(tmp_path_factory.mktemp("truth"), boxes, images=4)
    outcomes = judge(truth, [_found(image, category, [x, 0, 9, 9], 0.5) for image, category, x in found], 0.3)
    assert outcomes.f1 == {image: outcome.f1 for image, outcome in outcomes.items()}
    assert list(outcomes) == [1, 2, 3, 4]
    assert len(outcomes) == 4
    assert 5 not in outcomes


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(1, 50))
def test_any_choice_is_distinct_sorted_by_difficulty_and_repeatable(tmp_path_factory, right, count):
    truth = _truth(tmp_path_factory.mktemp("truth"), [(i + 1, 1, [0, 0, 9, 9]) for i in range(len(right))], len(right))
    outcomes = {index + 1: _outcome(value, 5 - value).f1 for index, value in enumerate(right)}
    chosen = choose_images(truth, [outcomes], count)
    assert len(chosen) == len(set(chosen)) == min(count, len(right))
    assert [outcomes[image] for image in chosen] == sorted((outcomes[i] for i in chosen), reverse=True)
    assert chosen == choose_images(truth, [outcomes], count)
