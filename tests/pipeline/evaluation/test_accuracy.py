"""The evaluator against pycocotools itself, on wild data, and its answers to bad input."""

import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.errors import DatasetError, PipelineError
from pipeline.evaluation import evaluate_detections
from pipeline.records import AccuracyRecord

Content = dict[str, Any]
Results = list[dict[str, Any]]

WILD = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def wild(seed: int) -> tuple[Content, Results]:
    """Data with crowds, empty images, absent classes, tied scores, all sizes and crowded images."""
    random = np.random.default_rng(seed)
    image_ids = (random.permutation(9)[: random.integers(1, 9)] * 7 + 3).tolist()
    category_ids = (random.permutation(5)[: random.integers(1, 5)] + 1).tolist()
    scale = float(random.choice([6, 60, 300]))

    def box() -> list[float]:
        return [float(value) for value in random.uniform([0, 0, 0.5, 0.5], scale).round(int(random.integers(3)) + 1)]

    annotations = []
    for number in range(int(random.integers(0, 50))):
        x, y, width, height = box()
        annotations.append(
            {
                "id": number + 1,
                "image_id": int(random.choice(image_ids[: len(image_ids) // 2 + 1])),
                "category_id": int(random.choice(category_ids[: len(category_ids) // 2 + 1])),
                "bbox": [x, y, width, height],
                "area": width * height * float(random.choice([1.0, 0.6])),
                "iscrowd": int(random.random() < 0.15),
            }
        )
    crowded = random.random() < 0.3
    results = []
    for _ in range(int(random.integers(0, 400 if crowded else 60))):
        result = {
            "image_id": int(random.choice(image_ids)),
            "category_id": int(random.choice(category_ids)),
            "bbox": box(),
        }
        if annotations and random.random() < 0.6:
            found = annotations[random.integers(len(annotations))]
            moved = np.abs(np.array(found["bbox"]) + random.normal(0, 0.05 * scale, 4) * (random.random() < 0.8))
            result = {**{key: found[key] for key in ("image_id", "category_id")}, "bbox": moved.tolist()}
        if crowded and random.random() < 0.7:
            result |= {"image_id": image_ids[0], "category_id": category_ids[0]}
        results.append({**result, "score": float(np.round(random.random(), int(random.choice([1, 2, 8]))))})
    content = {
        "images": [{"id": number, "file_name": f"{number}.png", "width": 600, "height": 600} for number in image_ids],
        "annotations": annotations,
        "categories": [{"id": number, "name": f"class {number}"} for number in category_ids],
    }
    return content, results


def pycocotools_run(content: Content, results: Results) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO()
        ground_truth.dataset = copy.deepcopy(content)
        ground_truth.createIndex()
        if results:
            detections = ground_truth.loadRes(copy.deepcopy(results))
        else:
            detections = COCO()
            detections.dataset = {**copy.deepcopy(content), "annotations": []}
            detections.createIndex()
        evaluator = COCOeval(ground_truth, detections, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def evaluate(tmp_path: Path, content: Content, results: Results) -> AccuracyRecord:
    path = tmp_path / "test.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return evaluate_detections(path, results, split="test")


def equal(value: float | None, expected: float) -> bool:
    if expected == -1:
        return value is None
    return value is not None and abs(value - 100 * expected) < 1e-9


@WILD
@given(seed=st.integers(0, 2**32))
def test_twelve_numbers_equal_pycocotools(tmp_path: Path, seed: int) -> None:
    content, results = wild(seed)
    reference = pycocotools_run(content, results)
    record = evaluate(tmp_path, content, results)
    for name, expected in zip(record.numbers.model_dump(), reference.stats, strict=True):
        assert equal(getattr(record.numbers, name), expected), name


@WILD
@given(seed=st.integers(0, 2**32))
def test_classes_and_curves_equal_pycocotools(tmp_path: Path, seed: int) -> None:
    content, results = wild(seed)
    precision = pycocotools_run(content, results).eval["precision"][:, :, :, 0, 2]
    record = evaluate(tmp_path, content, results)
    categories = sorted(content["categories"], key=lambda item: item["id"])
    for index, (item, category) in enumerate(zip(record.classes, categories, strict=True)):
        assert item.name == category["name"]
        assert equal(item.ap, precision[:, :, index].mean())
        assert equal(item.ap50, precision[0, :, index].mean())
        own = [a for a in content["annotations"] if a["category_id"] == category["id"] and not a["iscrowd"]]
        assert item.boxes == len(own)
        assert item.detections == sum(result["category_id"] == category["id"] for result in results)
    present = precision[0, 0] > -1
    expected = [precision[0], precision[5], precision.mean(axis=0)] if present.any() else []
    assert [curve.iou for curve in record.curves] == ([0.5, 0.75, None] if present.any() else [])
    for curve, values in zip(record.curves, expected, strict=True):
        np.testing.assert_allclose(curve.precision, values[:, present].mean(axis=1), atol=1e-12)
        np.testing.assert_allclose(curve.recall, np.linspace(0, 1, 101), atol=1e-12)


BOX = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 40], "area": 1600, "iscrowd": 0}
HIT = {"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 40], "score": 0.9}


def one_box() -> Content:
    return {
        "images": [{"id": 1, "file_name": "1.png", "width": 100, "height": 100}],
        "annotations": [dict(BOX)],
        "categories": [{"id": 1, "name": "tree"}],
    }


def test_no_results_is_zero_and_not_unknown(tmp_path: Path) -> None:
    record = evaluate(tmp_path, one_box(), [])
    assert record.numbers.ap == 0
    assert record.numbers.ar100 == 0
    assert record.numbers.ap_small is None
    assert record.classes[0].detections == 0
    assert set(record.curves[0].precision) == {0.0}


def test_no_boxes_is_unknown_and_not_zero(tmp_path: Path) -> None:
    record = evaluate(tmp_path, {**one_box(), "annotations": []}, [HIT])
    assert record.numbers.ap is None
    assert record.classes[0].ap is None
    assert record.curves == []
    assert (record.images, record.boxes) == (1, 0)


def test_a_box_with_id_zero_is_found_like_any_other(tmp_path: Path) -> None:
    content = one_box()
    content["annotations"][0]["id"] = 0
    assert evaluate(tmp_path, content, [HIT]).numbers.ap == pytest.approx(100)


def test_missing_area_and_crowd_flag_take_their_defaults(tmp_path: Path) -> None:
    content = one_box()
    del content["annotations"][0]["area"], content["annotations"][0]["iscrowd"]
    assert evaluate(tmp_path, content, [HIT]).numbers.ap_medium == pytest.approx(100)


def test_results_are_not_changed_and_nothing_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = [dict(HIT)]
    evaluate(tmp_path, one_box(), results)
    assert results == [HIT]
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_id": 7}, "result 1: unknown image_id 7"),
        ({"category_id": 9}, r"result 1: unknown category_id 9, known are \[1\]"),
        ({"bbox": [0, 0, -1, 5]}, "result 1: bbox"),
        ({"bbox": [0, 0, float("nan"), 5]}, "result 1: bbox"),
        ({"bbox": [0, 0, 5]}, "result 1: bbox"),
        ({"score": float("inf")}, "result 1: score inf is not finite"),
    ],
)
def test_results_that_do_not_belong_are_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        evaluate(tmp_path, one_box(), [HIT, {**HIT, **change}])


def test_a_result_without_a_score_is_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"result 0: the keys \['score'\] are missing"):
        evaluate(tmp_path, one_box(), [{key: value for key, value in HIT.items() if key != "score"}])


def test_many_bad_results_are_counted_and_the_first_are_listed(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"(?s)8 of 8 results.*result 4: unknown.*and 3 more"):
        evaluate(tmp_path, one_box(), [{**HIT, "image_id": 2}] * 8)


def test_a_split_without_images_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": [{"id": 1, "name": "tree"}]}))
    with pytest.raises(DatasetError, match=r"empty\.json: has no images"):
        evaluate_detections(path, [], split="test")
