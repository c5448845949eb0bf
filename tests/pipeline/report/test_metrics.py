"""The run in one small file, as DVC reads it."""

import json
from dataclasses import replace
from pathlib import Path

from pipeline.layout import PRECISION_RECALL, SUMMARY, TRADE_OFF
from pipeline.report.metrics import metrics
from pipeline.report.render import write_report
from tests.pipeline.report.example_run import SLOWER, example_params, write_run
from tests.pipeline.report.variants import model_of, with_draws, with_numbers, without_turns


def leaves(node: object) -> list[object]:
    return [leaf for each in node.values() for leaf in leaves(each)] if isinstance(node, dict) else [node]


def test_accuracy_gain_and_rungs_are_those_of_the_records(results) -> None:
    results = with_draws(with_numbers(results, "twin", ap=58.25), "twin", [58.0, 57.0, 59.0])
    results = with_draws(with_numbers(results, "crosskd", ap=60.1234), "crosskd", [60.0, 60.1, 60.2])
    found = metrics(results)
    assert list(found) == ["teacher", "twin", "crosskd"]
    student = found["crosskd"]
    assert (student["ap"], student["gain"]) == (60.123, 1.873)
    assert student["gain_low"] < student["gain"] < student["gain_high"]
    assert "gain" not in found["twin"]
    benchmark = model_of(results, "crosskd").benchmark
    ran = [run for run in benchmark.runs if run.status == "ok"]
    assert list(student["rungs"]) == [f"{run.artefact}@{run.backend}" for run in ran]
    for run, rung in zip(ran, student["rungs"].values(), strict=True):
        size = next(file.file_size for file in benchmark.artefacts if file.precision == run.artefact)
        assert rung == {
            "ap": round(run.accuracy.numbers.ap, 3),
            "p50_ms": round(SLOWER * run.latency_at(1).p50, 3),
            "mib": round(size / 2**20, 3),
        }
    assert student["fastest_ms"] == min(rung["p50_ms"] for rung in student["rungs"].values())


def test_a_rung_that_took_no_turns_has_no_latency(results) -> None:
    student = metrics(without_turns(results, "crosskd", "fp32@openvino"))["crosskd"]
    assert student["rungs"]["fp32@openvino"]["p50_ms"] is None
    assert student["rungs"]["fp32@openvino"]["ap"] is not None
    assert student["fastest_ms"] == student["rungs"]["int8@onnxruntime"]["p50_ms"]


def test_nothing_in_it_is_a_list_which_dvc_would_drop(results) -> None:
    assert all(isinstance(leaf, int | float) for leaf in leaves(metrics(results)))


def test_a_model_that_is_not_shipped_has_its_accuracy_alone(results) -> None:
    bare = tuple(replace(model, export=None, benchmark=None) for model in results.models)
    found = metrics(replace(results, models=bare))
    assert list(found["teacher"]) == ["ap"]


def test_the_report_writes_it_and_the_other_small_files(tmp_path: Path) -> None:
    params = example_params()
    write_run(tmp_path, params)
    first = write_report(params, tmp_path)
    written = json.loads((tmp_path / "reports/metrics.json").read_text())
    assert list(written) == ["teacher", "twin", "crosskd"]
    assert (tmp_path / SUMMARY).read_text() == first.replace("\u00a0", " ") + "\n"
    assert all((tmp_path / name).read_text().count("\n") > 5 for name in (PRECISION_RECALL, TRADE_OFF))
