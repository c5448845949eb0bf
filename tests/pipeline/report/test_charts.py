import re
from dataclasses import replace

import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba

from pipeline.records import Interval
from pipeline.report.chart_style import DARK, LIGHT, Look, lines, to_png, to_svg
from pipeline.report.charts import (
    TradeOffPoint,
    averaged,
    front,
    loss_terms,
    precision_recall_chart,
    trade_off_alt,
    trade_off_chart,
    trade_off_points,
    training_chart,
)
from pipeline.report.collect import collect
from tests.pipeline.report.example_run import CROSSKD, SLOWER, TEACHER_MODEL, TWIN, example_params, write_run
from tests.pipeline.report.variants import model_of, with_accuracy, with_runs, with_turns, without_turns

WIDE, PHONE = Look(LIGHT), Look(LIGHT, narrow=True)

RUNGS = ["ONNX Runtime fp32", "OpenVINO fp32", "ONNX Runtime int8"]


def test_every_artefact_under_every_backend_that_ran_is_a_point(results):
    points = trade_off_points(results)
    assert [(point.model, point.backend) for point in points] == [
        (name, rung) for name in ("teacher", "twin", "crosskd") for rung in RUNGS
    ]
    assert points[-2].latency == pytest.approx(SLOWER * 0.7 * 6.2), "that of all taking turns"
    assert points[-1].ap == model_of(results, "crosskd").evaluation.accuracy.numbers.ap
    interval = model_of(results, "crosskd").evaluation.accuracy.bootstrap.interval
    assert points[-1].interval == (interval.low, interval.high)


def test_a_rung_that_took_no_turns_is_no_point(results):
    points = trade_off_points(without_turns(results, "twin", "fp32@onnxruntime"))
    assert [point.backend for point in points if point.model == "twin"] == ["OpenVINO fp32", "ONNX Runtime int8"]


def test_the_front_holds_what_gains_noticeably_over_all_that_is_faster():
    def point(model, latency, ap):
        return TradeOffPoint(model, f"{latency}", latency, ap, None)

    points = [point("a", 5, 60), point("a", 3, 59), point("a", 4, 58), point("a", 3, 58.9), point("b", 9, 50)]
    assert [(item.latency, item.ap) for item in front(points)] == [(3, 59), (5, 60), (9, 50)]
    chain = [point("a", 1, 59.2), point("a", 2, 59.6), point("a", 3, 60.0)]
    assert [item.latency for item in front(chain)] == [1, 3], "small gains add up"


def test_the_trade_off_chart_shows_the_points_their_labels_and_units(results):
    (axes,) = trade_off_chart(results, WIDE).axes
    dots = [item for item in axes.collections if not isinstance(item, LineCollection)]
    offsets = [tuple(point) for collection in dots for point in collection.get_offsets()]
    assert sorted(offsets) == sorted((point.latency, point.ap) for point in trade_off_points(results))
    assert [text.get_text() for text in axes.texts] == ["OpenVINO fp32"] * 3
    assert "ms" in axes.get_xlabel()
    assert axes.get_ylabel() == "mAP of the artefact, points (test split)"
    benchmark = results.teacher.benchmark.model_copy(update={"images": 5})
    part = replace(results, models=(replace(results.teacher, benchmark=benchmark), *results.models[1:]))
    assert trade_off_chart(part, WIDE).axes[0].get_ylabel() == "mAP of the artefact, points (test split, 5 images)"
    assert "crosskd under OpenVINO fp32" in trade_off_alt(results)


def test_an_interval_of_the_artefact_is_drawn(results):
    run = model_of(results, "twin").benchmark.runs[0]
    bootstrap = results.teacher.evaluation.accuracy.bootstrap
    bootstrap = bootstrap.model_copy(update={"interval": Interval(low=20.0, high=30.0, confidence=0.95)})
    run = run.model_copy(update={"accuracy": run.accuracy.model_copy(update={"bootstrap": bootstrap})})
    (axes,) = trade_off_chart(with_runs(results, "twin", [run]), WIDE).axes
    bars = [item.get_segments()[0] for item in axes.collections if isinstance(item, LineCollection)]
    assert len(bars) == len(RUNGS) * 2 + 1, "one for each point"
    assert [[tuple(point) for point in bar] for bar in bars].count([(SLOWER * 6.3, 20.0), (SLOWER * 6.3, 30.0)]) == 1


def test_a_run_without_artefacts_still_has_a_chart(results):
    for model in results.models:
        results = with_runs(results, model.name, [])
    (axes,) = trade_off_chart(results, WIDE).axes
    assert [text.get_text() for text in axes.texts] == ["no artefact was measured"]
    assert trade_off_alt(results).endswith("No artefact was measured.")


def test_one_precision_recall_panel_a_threshold_and_one_line_a_model(results):
    figure = precision_recall_chart(results, WIDE)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["IoU 0.50", "IoU 0.75", "mean of IoU 0.50 to 0.95"]
    for axes, curve in zip(figure.axes, model_of(results, "twin").evaluation.accuracy.curves, strict=True):
        assert [line.get_label() for line in axes.lines] == ["teacher", "twin", "crosskd"]
        assert axes.lines[1].get_ydata().tolist() == curve.precision
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("recall", "precision")


def test_models_without_curves_give_an_empty_panel(results):
    for model in results.models:
        results = with_accuracy(results, model.name, curves=[])
    (axes,) = precision_recall_chart(results, WIDE).axes
    assert not axes.lines
    assert to_svg(precision_recall_chart(results, WIDE), WIDE)


def test_training_curves_share_their_axes(results):
    figure = training_chart(results, WIDE)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.axison}
    assert list(panels) == [
        "val split", "sum of losses", "loss_cls", "loss_bbox", "loss_dfl", "loss_cls_kd", "loss_bbox_kd",
    ]  # fmt: skip
    assert [line.get_label() for line in panels["loss_cls"].lines] == ["twin", "crosskd"]
    assert [line.get_label() for line in panels["loss_cls_kd"].lines] == ["crosskd"]
    student = model_of(results, "crosskd").training
    line = panels["val split"].lines[1]
    assert line.get_ydata().tolist() == [point.ap for point in student.validation]
    kept = panels["val split"].lines[-1]
    assert (kept.get_xdata().tolist(), kept.get_ydata().tolist()) == ([1100], [student.best_val_ap])


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 9_000])
def test_a_long_curve_is_drawn_from_means_of_equal_shares(count):
    points = [(10 * place, float(place % 7)) for place in range(count)]
    drawn = averaged(points)
    assert len(drawn) <= 100
    if count <= 100:
        assert drawn == points
    else:
        share = -(-count // 100)
        assert drawn[0] == (10 * (share - 1), sum(y for _, y in points[:share]) / share)
        assert drawn[-1][0] == points[-1][0]


def test_curves_that_lie_on_each_other_are_told_apart_by_marks_at_other_points(results):
    styles = lines(results, LIGHT).values()
    options = [style.curve_options(100) for style in styles]
    assert len({found["marker"] for found in options}) == len({str(found["linestyle"]) for found in options}) == 3
    places = [set(range(found["markevery"][0], 100, found["markevery"][1])) for found in options]
    assert [len(found) for found in places] == [8, 7, 7]
    assert not places[0] & places[1]
    assert not (places[0] | places[1]) & places[2]
    assert all(style.curve_options(1)["markevery"] == (0, 1) for style in styles)


@pytest.mark.parametrize("count", [1, 2, 3, 12, 300])
def test_every_curve_has_a_mark(results, count):
    for style in lines(results, LIGHT).values():
        first, step = style.curve_options(count)["markevery"]
        assert len(range(first, count, step)) >= 1


def test_iterations_of_a_long_training_are_in_thousands(results):
    axes = training_chart(results, WIDE).axes[1]
    assert [axes.xaxis.get_major_formatter()(value) for value in (0, 7500, 25_000, 112_500)] == [
        "0", "7500", "25k", "112.5k",
    ]  # fmt: skip


def test_missing_and_non_finite_values_leave_gaps(results):
    student = model_of(results, "crosskd").training
    points = [student.points[0].model_copy(update={"losses": {"loss": float("nan")}}), *student.points[1:]]
    validation = [student.validation[0].model_copy(update={"ap": None}), *student.validation[1:]]
    student = student.model_copy(update={"points": points, "validation": validation})
    assert loss_terms([student])[0] == "loss"
    models = tuple(
        model if model.name != "crosskd" else type(model)(**(vars(model) | {"training": student}))
        for model in results.models
    )
    figure = training_chart(type(results)(**(vars(results) | {"models": models})), WIDE)
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes}
    # Of 110 points the first is no number: means of two each from the second on.
    assert panels["sum of losses"].lines[1].get_xdata()[0] == 30
    assert panels["val split"].lines[1].get_xdata()[0] == 200


@pytest.mark.parametrize("draw", [trade_off_chart, precision_recall_chart, training_chart])
def test_charts_are_equal_byte_for_byte_and_refer_to_nothing_outside(results, draw):
    svg = to_svg(draw(results, PHONE), PHONE)
    assert svg == to_svg(draw(results, PHONE), PHONE)
    links = re.findall(r'(?:href|src)="([^"]*)"', svg)
    assert all(link.startswith("#") for link in links)
    assert "<script" not in svg


def test_png(results):
    assert to_png(trade_off_chart(results, WIDE), WIDE).startswith(b"\x89PNG")


def test_a_narrow_chart_is_narrower_and_not_wider_than_two_panels_a_row(results):
    wide, narrow = (training_chart(results, look) for look in (WIDE, PHONE))
    assert narrow.get_figwidth() == wide.get_figwidth() / 2
    assert {axes.get_subplotspec().get_gridspec().ncols for axes in narrow.axes} == {2}


def test_names_from_data_are_no_formulas(results):
    run = model_of(results, "twin").benchmark.runs[0].model_copy(update={"backend": "$x^{", "precision": ""})
    results = with_turns(with_runs(results, "twin", [run]), "twin", "fp32@onnxruntime", backend="$x^{")
    figure = trade_off_chart(results, WIDE)
    assert ">$x^{" in to_svg(figure, WIDE)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_lines_contrast_with_the_page(results, theme):
    """WCAG 2.2, 1.4.11: graphics need a contrast of 3 : 1; light orange and sky blue are known to fall short."""
    page = _luminance(theme.background)
    weak = {"#E69F00", "#56B4E9", "#CC79A7"}
    for color in {theme.teacher, theme.baseline, *theme.students, theme.text, theme.muted} - weak:
        high, low = sorted((page, _luminance(color)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 3, color


def _luminance(color):
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgba(color)[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_many_students_stay_apart(tmp_path):
    names = [f"student{index}" for index in range(12)]
    params = example_params(["twin", *names])
    models = [TEACHER_MODEL, TWIN, *[type(CROSSKD)(name, "crosskd", 0.8, 1, 1, 1.0) for name in names]]
    write_run(tmp_path, params, models, images=6)
    styles = lines(collect(params, tmp_path), LIGHT)
    assert len({(style.color, style.dashes) for style in styles.values()}) == 14
