from dataclasses import replace

import pytest

from pipeline.report.collect import collect
from pipeline.report.overview import overview_table
from tests.pipeline.report.example_run import example_params
from tests.pipeline.report.reading import cell
from tests.pipeline.report.variants import model_of, with_draws, with_numbers, with_runs, without_turns


@pytest.fixture
def known(results):
    results = with_numbers(results, "teacher", ap=72.41, ap50=95.0, ap75=80.0)
    results = with_numbers(results, "twin", ap=58.2)
    results = with_numbers(results, "crosskd", ap=60.13)
    results = with_draws(results, "twin", [58.0, 57.0, 59.0])
    return with_draws(results, "crosskd", [60.0, 60.1, 60.2])


def test_models_stand_side_by_side_and_the_main_student_is_marked(known):
    table = overview_table(known)
    assert [column.title for column in table.columns] == ["", "teacher", "twin", "crosskd"]
    assert [column.emphasis for column in table.columns] == [False, False, False, True]
    assert [column.numeric for column in table.columns] == [False, True, True, True]


def test_accuracy_gain_and_share(known):
    table = overview_table(known)
    assert [cell(table, "AP", name) for name in ("teacher", "twin", "crosskd")] == ["72.4", "58.2", "60.1"]
    assert cell(table, "AP, 95 % interval".replace(" %", "\u00a0%"), "twin") == "57.0 to 59.0"
    assert (cell(table, "AP50", "teacher"), cell(table, "AP75", "teacher")) == ("95.0", "80.0")
    assert [cell(table, "Gain over twin", name) for name in ("teacher", "twin", "crosskd")] == ["–", "–", "+1.9"]
    assert cell(table, "Gain, 95\u00a0% paired interval", "crosskd") == "+1.2 to +3.0"
    assert cell(table, "Share of the teacher’s AP", "crosskd") == "83 %"


def test_size(known):
    table = overview_table(known)
    assert [cell(table, "Parameters, M", name) for name in ("teacher", "crosskd")] == ["3.40", "1.48"]
    assert cell(table, "FLOPs, G (256 × 256 px)", "crosskd") == "1.31"
    assert [cell(table, "FLOPs, times fewer than the teacher", name) for name in ("teacher", "twin")] == ["–", "4.2×"]
    assert cell(table, "Artefact, MB", "crosskd") == "6.13"


FASTER = "Times as fast as the teacher’s (quartiles)"


def test_latency_of_every_backend_while_all_took_turns(known):
    table = overview_table(known)
    assert "Latency of the artefact: decoded image to detections, batch 1, median ms, all taking turns" in [
        row.cells[0] for row in table.rows
    ]
    assert [cell(table, "ONNX Runtime fp32", name) for name in ("teacher", "crosskd")] == ["23.5", "6.82"]
    assert [cell(table, "OpenVINO fp32", name) for name in ("teacher", "crosskd")] == ["16.5", "4.77"]
    assert cell(table, "ONNX Runtime CUDA", "twin") == "not run"
    assert cell(table, "Fastest", "crosskd") == "OpenVINO fp32"
    assert [cell(table, FASTER, name) for name in ("teacher", "crosskd")] == ["–", "3.5× (3.4× to 3.5×)"]


def test_the_fastest_has_its_own_map_and_one_without_turns_is_not_the_fastest(known):
    run = model_of(known, "crosskd").benchmark.runs[3]
    numbers = run.accuracy.numbers.model_copy(update={"ap": 12.34})
    runs = [
        *model_of(known, "crosskd").benchmark.runs[:3],
        run.model_copy(update={"accuracy": run.accuracy.model_copy(update={"numbers": numbers})}),
    ]
    changed = without_turns(with_runs(known, "crosskd", runs), "crosskd", "fp32@openvino", "no memory")
    table = overview_table(changed)
    assert cell(table, "OpenVINO fp32", "crosskd") == "no turns"
    assert cell(table, "Fastest", "crosskd") == "ONNX Runtime int8"
    assert cell(table, "mAP of the fastest", "crosskd") == "12.3"


def test_a_backend_that_ran_for_one_model_only_has_one_row(known):
    runs = model_of(known, "crosskd").benchmark.runs
    stopped = runs[1].model_copy(update={"status": "not run", "reason": "no memory", "precision": "", "latency": []})
    table = overview_table(with_runs(known, "crosskd", [runs[0], stopped]))
    assert cell(table, "OpenVINO fp32", "crosskd") == "not run"
    assert cell(table, "OpenVINO fp32", "twin") == "4.85"
    assert "OpenVINO" not in [row.cells[0] for row in table.rows]
    assert cell(table, "ONNX Runtime CUDA", "crosskd") == "–"


def test_published_ap_is_shown_where_it_is_known(known):
    assert "AP as published" not in [row.cells[0] for row in overview_table(known).rows]
    teacher = known.teacher
    published = replace(teacher, evaluation=teacher.evaluation.model_copy(update={"published_ap": 73.0}))
    table = overview_table(replace(known, models=(published, *known.models[1:])))
    assert [cell(table, "AP as published", name) for name in ("teacher", "twin")] == ["73.0", "–"]


def test_without_a_baseline_the_gain_is_a_dash(run):
    table = overview_table(collect(example_params(["crosskd"]), run))
    assert cell(table, "Gain over twin", "crosskd") == "–"
    assert cell(table, "Gain, 95\u00a0% paired interval", "crosskd") == "–"


def test_a_null_ap_is_a_dash_everywhere(known):
    table = overview_table(with_draws(with_numbers(known, "crosskd", ap=None), "crosskd", None))
    for row in ("AP", "AP, 95\u00a0% interval", "Gain over twin", "Share of the teacher’s AP"):
        assert cell(table, row, "crosskd") == "–"


def test_a_model_without_artefact_has_dashes(run):
    table = overview_table(collect(example_params(export={"models": ["crosskd"]}), run))
    assert cell(table, "Artefact, MB", "twin") == "–"
    assert cell(table, "OpenVINO fp32", "twin") == "–"
    assert cell(table, FASTER, "crosskd") == "–"
    assert cell(table, "Fastest", "teacher") == "–"
