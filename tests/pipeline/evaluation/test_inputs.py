"""Results read back from their file; what evaluation asks of them is tested in test_accuracy.py."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.runtime.detection_columns import DetectionColumns
from pipeline.errors import PipelineError
from pipeline.evaluation.inputs import (
    GroundTruth,
    _all_fine,
    _of_kinds_known,
    _problem,
    read_detections,
    read_ground_truth,
    read_results,
)


@pytest.mark.parametrize("content", ["[", '{"a": 1}', "[1]", '"text"', "[" * 100_000])
def test_damaged_results_are_named(tmp_path, content):
    path = tmp_path / "crosskd.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(PipelineError, match=r"crosskd.json: not .*dvc repro"):
        read_results(path)


@pytest.mark.parametrize("content", ['[{"a": "\\ud800"}]', '[{"a": ' + "[" * 500 + "]" * 500 + "}]", "[]", " [{}]\n"])
def test_results_are_what_python_reads(tmp_path, content):
    path = tmp_path / "crosskd.json"
    path.write_text(content, encoding="utf-8")
    assert read_results(path) == json.loads(content)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.none() | st.floats(allow_nan=False) | st.integers())))
def test_numbers_are_those_that_python_reads(tmp_path_factory, items):
    path = tmp_path_factory.mktemp("results") / "a.json"
    path.write_text(json.dumps(items), encoding="utf-8")
    found = read_results(path)
    assert found == items
    assert [type(value) for item in found for value in item.values()] == [
        type(value) for item in items for value in item.values()
    ]


def test_missing_results_are_named(tmp_path):
    with pytest.raises(PipelineError, match=r"none.json: no such detections"):
        read_results(tmp_path / "none.json")


RESULT = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 40], "score": 0.9}
STRANGE = [None, True, "1", [], {}, [1], 1.5, 10**400, float("nan"), float("inf"), -float("inf"), 2**53, "A" * 10_000]


def ground_truth(tmp_path):
    path = tmp_path / "val.json"
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    lists = {"images": [{"id": 1, "file_name": "1.png"}], "categories": [{"id": 1, "name": "a"}], "annotations": [box]}
    path.write_text(json.dumps(lists))
    return read_ground_truth(path)


@pytest.mark.parametrize("key", RESULT)
@pytest.mark.parametrize("value", STRANGE, ids=range(len(STRANGE)))
def test_a_value_of_any_other_kind_is_named_with_its_source(tmp_path, key, value):
    if key == "score" and value == 1.5:
        return
    with pytest.raises(
        PipelineError, match=rf"crosskd\.json: 1 of 2 results.*\n.*result 1: .*{key.split('_')[0]}"
    ) as caught:
        read_detections([RESULT, {**RESULT, key: value}], ground_truth(tmp_path), "crosskd.json")
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("value", [value for value in STRANGE if value != 1.5], ids=str)
def test_a_box_of_anything_but_four_numbers_is_named(tmp_path, value):
    with pytest.raises(PipelineError, match=r"result 0: bbox .* is no \[x, y, width, height\]"):
        read_detections([{**RESULT, "bbox": [1, 2, 3, value]}], ground_truth(tmp_path))


GOOD = {"image_id": 1, "category_id": 1, "bbox": [0.0, 1, 2.0, 3.0], "score": 0.5}
WILD = st.sampled_from([1, 9, 0.5, -1.0, "1", None, True, [0, 0, 1, 1], [0, 0, -1, 1], [0, 0, 1], (0, 0, 1, 1)])
NUMBERS = st.sampled_from([float("nan"), float("inf"), 2.0**53, 10**400])


@given(key=st.sampled_from(sorted(GOOD)), value=WILD | NUMBERS, place=st.integers(0, 2))
def test_what_is_fine_for_all_at_once_is_fine_one_by_one(key: str, value: object, place: int) -> None:
    ground_truth = GroundTruth({1: {"id": 1}}, {1: {"id": 1, "name": "a"}}, [])
    results = [dict(GOOD) for _ in range(3)]
    results[place][key] = value
    found = _of_kinds_known(results)
    fine = found is not None and _all_fine(found, ground_truth)
    assert fine == (not any(_problem(item, ground_truth) for item in results))


def test_results_become_columns_in_their_order(tmp_path: Path) -> None:
    results = [RESULT, {**RESULT, "bbox": [0.5, 1, 2.5, 4], "score": 1}]
    found = read_detections(results, ground_truth(tmp_path))
    assert found.results() == results
    assert (found.box.dtype, found.score.dtype) == (float, float)
    assert read_detections(found, ground_truth(tmp_path)) is found


def test_no_results_are_columns_of_no_length(tmp_path: Path) -> None:
    found = read_detections([], ground_truth(tmp_path))
    assert (len(found), found.box.shape) == (0, (0, 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": [1, 9]}, "result 1: unknown image_id 9"),
        ({"category": [4, 1]}, "result 0: unknown category_id 4"),
        ({"box": [[0, 0, 1, 1], [0, 0, -1, 1]]}, "result 1: bbox"),
        ({"score": [0.5, float("nan")]}, "result 1: score nan is not finite"),
    ],
)
def test_columns_are_held_to_the_same(tmp_path: Path, change: dict[str, list[Any]], message: str) -> None:
    fine = DetectionColumns(np.array([1, 1]), np.array([1, 1]), np.ones((2, 4)), np.array([0.5, 0.5]))
    with pytest.raises(PipelineError, match=message):
        read_detections(
            replace(fine, **{name: np.array(values) for name, values in change.items()}), ground_truth(tmp_path)
        )


def test_an_area_that_is_missing_is_that_of_the_box() -> None:
    box = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    boxes = GroundTruth({}, {}, [box, {**box, "area": 5, "iscrowd": 1}, {**box, "area": 0}]).boxes
    assert (boxes.area.tolist(), boxes.crowd.tolist()) == ([12, 5, 0], [False, True, False])
    assert GroundTruth({}, {}, []).boxes.corner.shape == (0, 4)
