"""What DVC draws of all models: its own reading of the two tables and of the templates."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from dvc_render.vega import VegaRenderer

from pipeline.layout import PRECISION_RECALL, TRADE_OFF
from pipeline.report.plots import write_plots
from tests.pipeline.report.variants import model_of, with_accuracy


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plots")
    write_plots(results, root)
    return root


def test_precision_and_recall_are_those_of_the_records(results, folder: Path) -> None:
    found = rows(folder / PRECISION_RECALL)
    for name in ("teacher", "twin", "crosskd"):
        for curve in model_of(results, name).evaluation.accuracy.curves:
            iou = "mean of 0.50 to 0.95" if curve.iou is None else f"{curve.iou:.2f}"
            own = [row for row in found if (row["model"], row["iou"]) == (name, iou)]
            assert [float(row["recall"]) for row in own] == pytest.approx(curve.recall, abs=5e-5)
            assert [float(row["precision"]) for row in own] == pytest.approx(curve.precision, abs=5e-5)
            assert len(own) == 101
    assert len(found) == 3 * 3 * 101


def test_every_rung_with_accuracy_and_latency_is_a_point(results, folder: Path) -> None:
    found = rows(folder / TRADE_OFF)
    expected = [(name, run) for name, run in results.rungs if run.accuracy and run.latency_at(1)]
    assert [row["model"] for row in found] == [name for name, _ in expected]
    assert [float(row["ap"]) for row in found] == pytest.approx(
        [run.accuracy.numbers.ap for _, run in expected], abs=1e-3
    )
    assert len({(row["model"], row["rung"]) for row in found}) == len(found) > 6


@pytest.mark.parametrize(
    ("path", "x", "y"),
    [(PRECISION_RECALL, "recall", "precision"), (TRADE_OFF, "p50_ms", "ap")],
    ids=["pr", "trade-off"],
)
def test_dvc_fills_the_template_with_a_colour_a_model(folder: Path, path: Path, x: str, y: str) -> None:
    points = [{**row, "rev": "workspace"} for row in rows(folder / path)]
    template = f".dvc/plots/{path.stem}.json"
    filled = VegaRenderer(points, path.name, x=x, y=y, template=template, title="Title").get_filled_template()
    encoding = filled.get("spec", filled)["encoding"]
    assert "DVC_METRIC" not in json.dumps(filled)
    assert (encoding["x"]["field"], encoding["y"]["field"], encoding["color"]["field"]) == (x, y, "model")
    assert len(filled["data"]["values"]) == len(points)


def test_without_anything_measured_tables_have_no_rows(results, tmp_path: Path) -> None:
    for model in results.models:
        results = with_accuracy(results, model.name, curves=[])
    bare = tuple(replace(model, benchmark=None) for model in results.models)
    write_plots(replace(results, models=bare), tmp_path)
    assert rows(tmp_path / PRECISION_RECALL) == rows(tmp_path / TRADE_OFF) == []
