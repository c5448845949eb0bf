"""The bootstrap against pycocotools run on literally duplicated images, and the pairing of two records."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.errors import PipelineError
from pipeline.evaluation import evaluate_detections, paired_difference
from pipeline.evaluation.bootstrap import centred_interval, draw_images, jackknife_error, resampled_ap
from pipeline.evaluation.coco_matching import ClassMatches, match_detections
from pipeline.evaluation.inputs import read_detections, read_ground_truth
from pipeline.records import Bootstrap, Interval
from pipeline.settings import EvaluateSettings

Content = dict[str, Any]
Results = list[dict[str, Any]]

WILD = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def scene(seed: int, images: int = 6, digits: int = 1) -> tuple[Content, Results]:
    """Boxes and jittered detections; scores are rounded to ``digits``, so that many are tied within an image."""
    random = np.random.default_rng(seed)
    annotations = [
        {
            "id": number + 1,
            "image_id": int(random.integers(images)) + 1,
            "category_id": int(random.integers(3)) + 1,
            "bbox": random.uniform([0, 0, 10, 10], [60, 60, 60, 60]).tolist(),
            "area": 900.0,
            "iscrowd": int(random.random() < 0.2),
        }
        for number in range(int(random.integers(1, 30)))
    ]
    results = []
    for _ in range(int(random.integers(0, 120))):
        found = annotations[random.integers(len(annotations))]
        result = {"image_id": found["image_id"], "category_id": found["category_id"]}
        if random.random() < 0.3:
            result = {"image_id": int(random.integers(images)) + 1, "category_id": int(random.integers(3)) + 1}
        box = np.abs(np.array(found["bbox"]) + random.normal(0, 4, 4))
        results.append({**result, "bbox": box.tolist(), "score": float(np.round(random.random(), digits))})
    content = {
        "images": [
            {"id": number + 1, "file_name": f"{number}.png", "width": 120, "height": 120} for number in range(images)
        ],
        "annotations": annotations,
        "categories": [{"id": number, "name": str(number)} for number in (1, 2, 3)],
    }
    return content, results


def pycocotools_ap(content: Content, results: Results) -> float:
    """mAP in points, ``nan`` where there is no box."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth, detections = COCO(), COCO()
        ground_truth.dataset = content
        detections.dataset = {
            **content,
            "annotations": [
                {**item, "id": number, "area": item["bbox"][2] * item["bbox"][3], "iscrowd": 0}
                for number, item in enumerate(results, start=1)
            ],
        }
        ground_truth.createIndex()
        detections.createIndex()
        evaluator = COCOeval(ground_truth, detections, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return 100 * float(evaluator.stats[0]) if evaluator.stats[0] >= 0 else float("nan")


def duplicated(content: Content, results: Results, draw: NDArray[np.int64]) -> tuple[Content, Results]:
    """The drawn images written out, every copy with an id of its own."""
    images, annotations, copies = [], [], []
    for image, times in zip(sorted(content["images"], key=lambda item: item["id"]), draw, strict=True):
        for _ in range(times):
            number = len(images) + 1
            images.append({**image, "id": number})
            for source, target in ((content["annotations"], annotations), (results, copies)):
                target += [{**item, "image_id": number} for item in source if item["image_id"] == image["id"]]
    annotations = [{**item, "id": number} for number, item in enumerate(annotations, start=1)]
    return {**content, "images": images, "annotations": annotations}, copies


def matches_of(tmp_path: Path, content: Content, results: Results) -> list[ClassMatches]:
    path = tmp_path / "test.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    ground_truth = read_ground_truth(path)
    return match_detections(ground_truth, read_detections(results, ground_truth))["all"]


@WILD
@given(seed=st.integers(0, 2**32), digits=st.sampled_from([1, 8]))
def test_every_image_once_is_cocos_map(tmp_path: Path, seed: int, digits: int) -> None:
    content, results = scene(seed, digits=digits)
    ap = resampled_ap(matches_of(tmp_path, content, results), np.ones((1, 6), dtype=np.int64))
    np.testing.assert_allclose(ap[0], pycocotools_ap(content, results), atol=1e-9)


@WILD
@given(seed=st.integers(0, 2**32), digits=st.sampled_from([1, 8]))
def test_a_resample_is_pycocotools_on_duplicated_images(tmp_path: Path, seed: int, digits: int) -> None:
    content, results = scene(seed, digits=digits)
    draws = np.concatenate([draw_images(6, 3, seed), [[6, 0, 0, 0, 0, 0]]])
    ap = resampled_ap(matches_of(tmp_path, content, results), draws)
    expected = [pycocotools_ap(*duplicated(content, results, draw)) for draw in draws]
    np.testing.assert_allclose(ap, expected, atol=1e-9)


def test_no_more_than_100_detections_of_an_image_count(tmp_path: Path) -> None:
    content, results = scene(1, images=1, digits=8)
    crowd = [{**item, "category_id": 1, "score": item["score"] / times} for item in results for times in (1, 2, 3, 4)]
    matches = matches_of(tmp_path, content, crowd)
    assert len(crowd) > 300
    assert len(matches[0].score) == 100
    ap = resampled_ap(matches, np.ones((1, 1), dtype=np.int64))
    np.testing.assert_allclose(ap[0], pycocotools_ap(content, crowd), atol=1e-9)


def test_chunks_of_draws_give_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matches = matches_of(tmp_path, *scene(1))
    draws = draw_images(6, 50, 0)
    whole = resampled_ap(matches, draws)
    monkeypatch.setattr("pipeline.evaluation.resampled_ap._MOST_CELLS", 1)
    np.testing.assert_allclose(resampled_ap(matches, draws), whole, rtol=1e-13)


def test_draws_depend_on_seed_images_and_index_alone() -> None:
    few, many = draw_images(40, 5, seed=3), draw_images(40, 9, seed=3)
    np.testing.assert_array_equal(few, many[:5])
    assert (many.sum(axis=1) == 40).all()
    assert len({row.tobytes() for row in many}) == 9
    assert not np.array_equal(few, draw_images(40, 5, seed=4))


def test_draws_are_uniform() -> None:
    counts = draw_images(50, 2000, seed=0)
    np.testing.assert_allclose(counts.mean(axis=0), 1, atol=0.12)
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=0.03)


def evaluated(tmp_path: Path, results: Results, content: Content, **changes: Any) -> Bootstrap:
    path = tmp_path / "test.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    record = evaluate_detections(path, results, "test", EvaluateSettings(resamples=200).model_copy(update=changes))
    assert record.bootstrap is not None
    return record.bootstrap


def test_record_brackets_the_measured_map(tmp_path: Path) -> None:
    content, results = scene(5, images=60, digits=8)
    record = evaluated(tmp_path, results, content)
    assert (record.images, record.seed, len(record.ap), len(record.jackknife)) == (60, 0, 200, 50)
    assert record.measured == pytest.approx(pycocotools_ap(content, results))
    assert record.interval.low < record.measured < record.interval.high


@WILD
@given(seed=st.integers(0, 2**32), images=st.sampled_from([1, 2, 6, 60]))
def test_an_interval_contains_what_was_measured(tmp_path: Path, seed: int, images: int) -> None:
    content, results = scene(seed, images=images)
    path = tmp_path / "test.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    records = [
        evaluate_detections(path, part, "test", EvaluateSettings(resamples=20)) for part in (results, results[::2])
    ]
    one, other = (record.bootstrap for record in records)
    if one is None or other is None:
        assert all(record.numbers.ap is None for record in records)
        return
    for record in (one, other):
        assert 0 <= record.interval.low <= record.measured <= record.interval.high <= 100
    assert one.measured == records[0].numbers.ap
    gain, loss = paired_difference(one, other), paired_difference(other, one)
    assert -100 <= gain.interval.low <= gain.measured <= gain.interval.high <= 100
    assert loss.measured == -gain.measured
    assert (loss.interval.low, loss.interval.high) == pytest.approx((-gain.interval.high, -gain.interval.low))


def test_the_same_seed_gives_the_same_record_to_the_last_bit(tmp_path: Path) -> None:
    content, results = scene(5, images=60)
    first, second = evaluated(tmp_path, results, content), evaluated(tmp_path, results, content)
    assert first.model_dump_json() == second.model_dump_json()
    assert evaluated(tmp_path, results, content, seed=1).jackknife != first.jackknife


def test_pairing_a_model_with_itself_is_zero_and_with_a_worse_one_is_positive(tmp_path: Path) -> None:
    content, results = scene(5, images=60, digits=8)
    own = evaluated(tmp_path, results, content)
    worse = evaluated(tmp_path, results[::2], content)
    same = paired_difference(own, own)
    assert (same.measured, same.interval.low, same.interval.high) == (0, 0, 0)
    gain = paired_difference(own, worse)
    assert gain.measured == own.measured - worse.measured > 0
    draws = np.array(own.ap, dtype=float) - np.array(worse.ap, dtype=float)
    left_out = np.array(own.jackknife, dtype=float) - np.array(worse.jackknife, dtype=float)
    error = jackknife_error(left_out, gain.measured, 60)
    assert gain.interval == centred_interval(gain.measured, draws, error, 0.95)
    assert gain.interval.high - gain.interval.low < own.interval.high - own.interval.low


def test_a_flawless_detector_has_an_interval_of_no_width(tmp_path: Path) -> None:
    content, _ = scene(3, images=10)
    content["annotations"] = [{**item, "iscrowd": 0} for item in content["annotations"]]
    results = [
        {**{key: item[key] for key in ("image_id", "category_id", "bbox")}, "score": 0.9}
        for item in content["annotations"]
    ]
    record = evaluated(tmp_path, results, content)
    assert record.measured == pytest.approx(100)
    assert (record.interval.low, record.interval.high) == pytest.approx((100, 100))
    record = evaluated(tmp_path, [], content)
    assert (record.measured, record.interval.low, record.interval.high) == (0, 0, 0)


def test_one_image_has_an_interval_of_no_width(tmp_path: Path) -> None:
    content, results = scene(1, images=1, digits=8)
    record = evaluated(tmp_path, results, content)
    assert record.jackknife == [None]
    assert (record.interval.low, record.interval.high) == (record.measured, record.measured)


def test_a_split_without_boxes_has_no_bootstrap(tmp_path: Path) -> None:
    content, results = scene(2)
    path = tmp_path / "test.json"
    path.write_text(json.dumps({**content, "annotations": []}), encoding="utf-8")
    assert evaluate_detections(path, results, "test", EvaluateSettings(resamples=5)).bootstrap is None


def record(**changes: Any) -> Bootstrap:
    interval = Interval(low=0, high=1, confidence=0.95)
    plain = Bootstrap(seed=0, images=3, measured=1.5, ap=[1.0, 2.0], jackknife=[None] * 3, interval=interval)
    return plain.model_copy(update=changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "the seed is 0 for the student and 1 for the baseline"),
        ({"images": 4}, "the number of images is 3"),
        ({"ap": [1.0]}, "the number of resamples is 2"),
        ({"interval": Interval(low=0, high=1, confidence=0.9)}, "the confidence is 0.95"),
        ({"ap": [None, None]}, "no draw has a mAP in both"),
    ],
)
def test_records_that_do_not_belong_together_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        paired_difference(record(), record(**changes))


def test_draws_without_a_box_are_left_out_of_the_difference() -> None:
    student, baseline = record(ap=[None, 5.0, 6.0], measured=5.5), record(ap=[9.0, 3.0, 2.0], measured=2.0)
    difference = paired_difference(student, baseline)
    assert difference.measured == 3.5
    # The draws that are left differ by 2 and 4.
    assert (difference.interval.low, difference.interval.high) == pytest.approx((3.5 - 0.95, 3.5 + 0.95))
