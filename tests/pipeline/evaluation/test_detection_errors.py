from pathlib import Path

import pytest

from deploy.runtime.detection_columns import DetectionColumns
from deploy.runtime.split import Split
from pipeline.detection_error_records import Confusion, DetectionErrors
from pipeline.evaluation.accuracy import evaluate_detections
from pipeline.evaluation.detection_errors import detection_errors
from pipeline.evaluation.inputs import ground_truth_of, read_detections
from tests.pipeline.evaluation.pycocotools_reference import entry

SPLIT = Split(
    [{"id": 1}, {"id": 2}],
    [{"id": 7, "name": "oak"}, {"id": 3, "name": "elm"}],
    [entry(1, 3, [0, 0, 10, 10]), entry(1, 7, [50, 0, 10, 10]), entry(2, 7, [0, 0, 10, 10])],
)
FOUND = [
    entry(1, 3, [0, 0, 10, 10], score=0.9),
    entry(1, 3, [50, 0, 10, 10], score=0.8),
    entry(2, 3, [50, 50, 10, 10], score=0.7),
    entry(2, 7, [50, 50, 10, 10], score=0.2),
]


@pytest.fixture
def found() -> DetectionColumns:
    return read_detections(FOUND, ground_truth_of(SPLIT))


def test_the_record_names_classes_in_the_order_of_their_ids(found: DetectionColumns, tmp_path: Path) -> None:
    record = detection_errors("test", SPLIT, found, 0.5)
    assert (record.split, record.classes, record.score) == ("test", ["elm", "oak"], 0.5)
    assert record.confusion == [
        Confusion(truth="elm", predicted="elm", count=1),
        Confusion(truth="oak", predicted="elm", count=1),
        Confusion(truth="oak", predicted=None, count=1),
        Confusion(truth=None, predicted="elm", count=1),
    ]
    record.write(tmp_path / "errors.json")
    assert DetectionErrors.read(tmp_path / "errors.json") == record


def test_kinds_count_over_all_scores_and_gains_are_on_ap50(found: DetectionColumns) -> None:
    record = detection_errors("test", SPLIT, found, 0.5)
    assert record.ap50 == evaluate_detections(SPLIT, FOUND, "test").numbers.ap50 == pytest.approx(50)
    kinds = {item.kind: (item.count, item.delta_ap50) for item in record.kinds}
    assert list(kinds) == ["Cls", "Loc", "Both", "Dupe", "Bkg", "Miss"]
    assert kinds["Cls"] == (1, pytest.approx(100 * 51 / 101 / 2))  # class 7 is right at 0.8, and 1 of 2 boxes
    assert kinds["Bkg"] == (2, 0)
    assert kinds["Miss"] == (1, 0)
    assert kinds["Loc"] == kinds["Both"] == kinds["Dupe"] == (0, 0)
    assert (record.false_positives, record.false_negatives) == (0, 0)


def test_without_a_score_nothing_is_confused(found: DetectionColumns) -> None:
    record = detection_errors("test", SPLIT, found, None)
    assert (record.score, record.confusion) == (None, [])
    assert len(record.kinds) == 6
