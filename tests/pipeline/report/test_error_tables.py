from dataclasses import replace
from typing import Any

import pytest

from pipeline.detection_error_records import Confusion, DetectionErrors
from pipeline.report.collect import Results
from pipeline.report.error_tables import (
    KINDS,
    MOST_PAIRS,
    confused,
    confusion_note,
    count_table,
    error_bars,
    error_sentence,
    error_table,
)
from tests.pipeline.report.reading import cell
from tests.pipeline.report.variants import model_of


def with_errors(results: Results, model: str, **changes: Any) -> Results:
    """Fields of one model's errors replaced."""

    def change(item: Any) -> Any:
        return replace(item, errors=item.errors.model_copy(update=changes)) if item.name == model else item

    return replace(results, models=tuple(map(change, results.models)))


def with_costs(results: Results, model: str, **costs: float | None) -> Results:
    """What kinds cost one model replaced; the others cost nothing."""
    kinds = [
        item.model_copy(update={"delta_ap50": costs.get(item.kind, 0.0)})
        for item in model_of(results, model).errors.kinds
    ]
    return with_errors(results, model, kinds=kinds)


def confusion(**counts: int) -> list[Confusion]:
    """From ``truth_predicted=count``; ``none`` is the background."""
    pairs = {tuple(None if name == "none" else name for name in key.split("_")): n for key, n in counts.items()}
    return [Confusion(truth=truth, predicted=predicted, count=n) for (truth, predicted), n in pairs.items()]


@pytest.mark.parametrize("model", ["teacher", "twin", "crosskd"])
def test_errors_agree_with_the_other_records_of_a_model(results: Results, model: str) -> None:
    found = model_of(results, model)
    assert found.errors.ap50 == found.evaluation.accuracy.numbers.ap50
    right = sum(item.count for item in found.errors.confusion if item.truth == item.predicted)
    shown = sum(item.count for item in found.errors.confusion if item.predicted is not None)
    assert right == round(found.point.measured.recall * found.evaluation.accuracy.boxes)
    assert shown == found.point.measured.detections


def test_costs_and_counts_stand_side_by_side(results: Results) -> None:
    changed = with_costs(results, "crosskd", Cls=3.21, Dupe=-0.06, Miss=None)
    table = error_table(changed)
    assert cell(table, "wrong class (Cls)", "crosskd") == "+3.2"
    assert cell(table, "duplicate (Dupe)", "crosskd") == "−0.1"
    assert cell(table, "missed (Miss)", "crosskd") == "–"
    assert cell(table, "AP50 as it is", "twin") == f"{model_of(results, 'twin').errors.ap50:.1f}"
    assert [column.title for column in table.columns if column.emphasis] == [results.main.name]
    missed = next(item.count for item in model_of(results, "twin").errors.kinds if item.kind == "Miss")
    assert cell(count_table(results), "missed (Miss)", "twin") == str(missed)


def test_the_longest_bar_is_the_largest_cost_of_any_model_and_none_is_below_0(results: Results) -> None:
    changed = with_costs(results, "teacher", Cls=2.0)
    changed = with_costs(with_costs(changed, "twin", Cls=8.0, Loc=-1.0), "crosskd", Miss=None, Loc=4.0)
    bars = error_bars(changed)
    assert list(bars) == [title for title, _ in KINDS.values()]
    assert bars["wrong class (Cls)"] == [0.25, 1, 0]
    assert bars["poor place (Loc)"] == [0, 0, 0.5]
    nothing = changed
    for name in ("teacher", "twin", "crosskd"):
        nothing = with_costs(nothing, name)
    assert {length for lengths in error_bars(nothing).values() for length in lengths} == {0}


def test_the_sentence_names_the_worst_kind_of_the_main_student(results: Results) -> None:
    changed = with_costs(with_costs(results, "teacher", Loc=1.0), "twin", Loc=6.04)
    changed = with_errors(with_costs(changed, "crosskd", Loc=4.26, Cls=4.2), "crosskd", ap50=60.0)
    assert error_sentence(changed) == (
        "crosskd loses most by poor places: without them its AP50 of 60.0 would rise by 4.3 points "
        "(teacher’s by 1.0, twin’s by 6.0)."
    )
    assert error_sentence(with_costs(results, "crosskd")) == "No kind of error costs crosskd AP50."
    no_box = with_costs(results, "crosskd", **dict.fromkeys(KINDS))
    assert error_sentence(no_box) == "No kind of error costs crosskd AP50."


def test_few_classes_are_a_matrix_with_every_box_and_its_colour_by_share(results: Results) -> None:
    entries = confusion(a_a=75, a_b=4, a_none=21, b_b=5, none_a=1200)
    changed = with_errors(results, "crosskd", classes=["a", "b"], confusion=entries, score=0.4567)
    item = next(item for item in confused(changed) if item.model == "crosskd")
    assert item.summary == "from score 0.46 on: 4 confused, 21 missed, 1,200 of background"
    assert item.is_main
    assert item.matrix is not None
    shown = [[(entry.text, entry.shade, entry.kind) for entry in row] for row in item.matrix.rows]
    assert shown[0] == [("75", pytest.approx(0.75**0.5), "right"), ("4", 0.2, "wrong"), ("21", 0.21**0.5, "wrong")]
    assert shown[1][0] == ("", 0, "wrong")
    assert cell(item.table, "background", "a") == "1,200"
    assert cell(item.table, "b", "b") == "5"
    assert "A row is what became of" in confusion_note(changed)


def test_many_classes_are_the_pairs_that_are_confused_most(results: Results) -> None:
    names = [f"c{number}" for number in range(21)]
    entries = confusion(c0_c0=50, c0_none=900, none_c0=900, c0_c1=50, c2_c1=7, c2_c2=3)
    entries += [Confusion(truth="c3", predicted=name, count=1) for name in names[4:]]
    changed = with_errors(results, "crosskd", classes=names, confusion=entries)
    item = next(item for item in confused(changed) if item.model == "crosskd")
    assert item.matrix is None
    rows = [tuple(text.replace("\u00a0", " ") for text in row.cells) for row in item.table.rows]
    assert rows[:2] == [("c0", "c1", "50", "5 %"), ("c2", "c1", "7", "70 %")]
    assert len(rows) == MOST_PAIRS == 15
    assert "15 pairs" in confusion_note(changed)


def test_a_model_without_a_score_has_no_matrix(results: Results) -> None:
    changed = with_errors(results, "twin", score=None, confusion=[])
    assert [item.model for item in confused(changed)] == ["teacher", "crosskd"]


def test_records_keep_tides_names() -> None:
    assert list(KINDS) == list(DetectionErrors.model_json_schema()["$defs"]["ErrorCost"]["properties"]["kind"]["enum"])
