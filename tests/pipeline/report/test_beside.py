"""Times of the run in which all rungs took turns, and nothing else, stand side by side."""

from dataclasses import replace

import pytest

from pipeline.deploy_records import TurnsGroup
from pipeline.report.beside import (
    absent_table,
    all_beside,
    beside,
    fastest_beside,
    left_out_note,
    reference,
    speed,
    turns_note,
    turns_table,
)
from tests.pipeline.report.example_run import SLOWER
from tests.pipeline.report.reading import cells
from tests.pipeline.report.variants import model_of, with_runs, with_turns, without_turns


def test_a_rung_has_the_time_of_taking_turns_and_its_own_ap(results):
    rung = results.rungs[-1]
    found = beside(results, rung)
    assert found.turns.milliseconds == pytest.approx(SLOWER * 0.9 * 6.2)
    assert (found.rung, found.title) == (rung, "ONNX Runtime int8")
    assert found.ap == rung.run.accuracy.numbers.ap
    assert len(all_beside(results)) == 9


def test_the_fastest_is_that_of_taking_turns(results):
    assert fastest_beside(results, "crosskd").title == "OpenVINO fp32"
    assert fastest_beside(results, "nobody") is None
    turned = with_turns(results, "crosskd", "int8@onnxruntime", milliseconds=0.1)
    assert fastest_beside(turned, "crosskd").title == "ONNX Runtime int8"


def test_the_reference_is_the_teachers_or_none(results):
    found = reference(results)
    assert (found.rung.model, found.title, found.turns.times_as_fast) == ("teacher", "OpenVINO fp32", 1)
    rungs = [each for each in results.comparison.rungs if each.model != "teacher"]
    without = replace(results, comparison=results.comparison.model_copy(update={"rungs": rungs}))
    assert reference(without) is None
    assert reference(with_runs(results, "teacher", [])) is None


def test_the_table_has_every_rung_with_its_own_map(results):
    table = turns_table(results)
    assert [column.title for column in table.columns] == ["Model", "Rung", "mAP", "ms", "times as fast"]
    assert len(table.rows) == 9
    ap = model_of(results, "crosskd").benchmark.runs[1].accuracy.numbers.ap
    assert cells(table, "crosskd", "OpenVINO fp32")[2:] == [f"{ap:.1f}", "4.77", "3.5× (3.4× to 3.5×)"]
    assert cells(table, "teacher", "ONNX Runtime fp32")[3:] == ["23.5", "0.70× (0.69× to 0.71×)"]
    assert speed(reference(results)).startswith("1.00×")


def test_a_rung_that_took_no_turns_says_so_and_why(results):
    assert (absent_table(results).rows, left_out_note(results)) == ((), "")
    known = without_turns(results, "twin", "fp32@openvino", "out of memory")
    assert cells(turns_table(known), "twin", "OpenVINO fp32")[3:] == ["no turns", "–"]
    assert cells(absent_table(known), "twin") == ["twin", "OpenVINO fp32", "out of memory"]
    assert left_out_note(known).startswith("Not shown: 1 that took no turns")
    unknown = without_turns(results, "twin", "fp32@openvino")
    assert cells(absent_table(unknown), "twin")[2] == "unknown"


def test_the_note_says_how_times_came_about(results):
    note = turns_note(results)
    assert "15 rounds, batch 1" in note
    assert "beside teacher under OpenVINO fp32" in note
    assert "groups" not in note
    nothing = results.comparison.model_copy(update={"rungs": [], "groups": []})
    assert turns_note(replace(results, comparison=nothing)).startswith("No rung took turns")


def test_groups_and_what_ties_them_are_said(results):
    groups = [TurnsGroup(rounds=15, reference=16.0), TurnsGroup(rounds=9, reference=20.5)]
    grouped = replace(results, comparison=results.comparison.model_copy(update={"groups": groups}))
    grouped = with_turns(grouped, "crosskd", group=1)
    note = turns_note(grouped)
    assert "9 to 15 rounds" in note
    assert "there were 2 groups, and that rung was in each (16.0 to 20.5 ms)" in note
    assert cells(turns_table(grouped), "crosskd", "OpenVINO fp32")[-1] == "2"
    assert cells(turns_table(grouped), "twin", "OpenVINO fp32")[-1] == "1"
