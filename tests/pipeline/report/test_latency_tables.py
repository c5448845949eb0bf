import pytest

from pipeline.report.chart_style import LIGHT, Look
from pipeline.report.latency_tables import (
    batch_alt,
    batch_chart,
    cost_table,
    gpu_table,
    latency_table,
    noise_sentence,
    own_runs,
    sweep_sentence,
    unmeasured_table,
)
from tests.pipeline.report.example_run import GPU
from tests.pipeline.report.reading import cells
from tests.pipeline.report.variants import model_of, with_latency, with_runs, with_turns


def with_sweep(results, model: str, **changes):
    runs = model_of(results, model).benchmark.runs
    return with_runs(results, model, [runs[0].model_copy(update=changes), *runs[1:]])


def test_latency_is_split_by_batch_size_and_phase(results):
    table = latency_table(results, "crosskd")
    assert [column.title for column in table.columns] == [
        "Rung", "batch", "p50", "p90", "p95", "p99", "spread", "pre", "inference", "post", "decoding", "from files",
        "images/s",
    ]  # fmt: skip
    assert len(table.rows) == 3 * 2
    found = cells(table, "ONNX Runtime fp32", "1")
    assert found[2:] == ["6.20", "6.94", "7.44", "8.74", "5 %", "0.37", "5.70", "0.37", "0.50", "6.95", "155"]
    assert cells(table, "ONNX Runtime fp32", "8")[2] == "40.9"


def test_every_model_that_ran_has_tables_of_its_own(results):
    found = own_runs(with_runs(results, "twin", []))
    assert [own.model for own in found] == ["teacher", "crosskd"]
    assert (found[1].latency, found[1].costs) == (latency_table(results, "crosskd"), cost_table(results, "crosskd"))


def test_what_every_rung_costs(results):
    table = cost_table(results, "crosskd")
    assert len(table.rows) == 3
    assert cells(table, "OpenVINO fp32") == ["OpenVINO fp32", "6.13", "fp32", "2", "112.4", "311", "2026.4.0"]
    assert cells(table, "ONNX Runtime int8")[1:3] == ["1.69", "int8"]


def test_copies_are_shown_where_there_are_any(results):
    copying = with_latency(results, "crosskd", host_to_device=0.25, device_to_host=0.125)
    table = latency_table(copying, "crosskd")
    assert [column.title for column in table.columns][7:12] == ["pre", "to device", "inference", "from device", "post"]
    assert cells(table, "ONNX Runtime fp32", "1")[7:12] == ["0.37", "0.25", "5.70", "0.12", "0.37"]
    assert "to device" not in [column.title for column in latency_table(copying, "twin").columns]


def test_what_percentiles_are_worth_is_shown_where_calls_are_enough(results):
    table = latency_table(with_latency(results, "crosskd", p90_bound=7.125), "crosskd")
    assert [column.title for column in table.columns][5:9] == ["p99", "p90 at most", "p99 at most", "spread"]
    assert cells(table, "ONNX Runtime fp32", "1")[6:8] == ["7.12", "–"]


def test_noise_is_counted_and_marked(results):
    assert noise_sentence(results).startswith("No measurement is noisy")
    noisy = with_latency(results, "crosskd", spread=0.31, noisy=True)
    assert (
        noise_sentence(noisy)
        .replace("\u00a0", " ")
        .startswith("6 of 18 measurements are noisy (quartiles more than 20 % of the median apart)")
    )
    assert cells(latency_table(noisy, "crosskd"), "OpenVINO fp32", "8")[6] == "31 % noisy"
    assert "noisy" not in cells(latency_table(noisy, "twin"), "OpenVINO fp32", "8")[6]


def test_the_limit_that_ended_sweeps_is_said(results):
    assert sweep_sentence(results) == ""
    ended = with_sweep(results, "twin", sweep_end="time", sweep_reason="batch 8 took 1,200 ms")
    assert sweep_sentence(ended) == "Once a call takes longer than 1,000 ms, no larger batch is measured."
    assert unmeasured_table(ended).rows == ()


def test_what_had_no_room_and_a_gpu_that_was_not_watched_are_listed(results):
    assert unmeasured_table(results).rows == ()
    changed = with_sweep(results, "twin", sweep_end="memory", sweep_reason="batch 32 ran out of memory: no")
    changed = with_sweep(changed, "crosskd", gpu_unseen="no nvidia-ml-py")
    assert [row.cells for row in unmeasured_table(changed).rows] == [
        ("twin", "ONNX Runtime fp32", "batch 32 ran out of memory: no"),
        ("crosskd", "ONNX Runtime fp32", "GPU not watched: no nvidia-ml-py"),
    ]


def test_gpu_use(results):
    assert gpu_table(results, "crosskd").rows == ()
    watched = with_latency(results, "crosskd", gpu=GPU)
    table = gpu_table(watched, "crosskd")
    assert len(table.rows) == 6
    assert table.rows[0].cells == ("ONNX Runtime fp32", "1", "2,100", "1,980", "–", "350", "0.052")
    assert gpu_table(watched, "twin").rows == ()


def test_the_batch_chart_compares_each_model_with_its_own_smallest_batch(results):
    (axes,) = batch_chart(results, Look(LIGHT)).axes
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert list(lines) == ["teacher", "twin", "crosskd"]
    for line in lines.values():
        assert list(line.get_xdata()) == [1, 8]
        assert list(line.get_ydata()) == pytest.approx([1, 8 / 6.6])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "8"]


def test_the_batch_chart_draws_the_rung_that_was_fastest_beside_all_others(results):
    # In its own run OpenVINO was the fastest.
    turned = with_turns(results, "crosskd", "int8@onnxruntime", milliseconds=0.1)
    assert "crosskd under ONNX Runtime int8: 1.21× the images/s at batch 8" in batch_alt(turned)
    assert "crosskd under OpenVINO fp32: 1.21× the images/s at batch 8" in batch_alt(results)


def test_nothing_measured_is_said(results):
    empty = results
    for model in results.models:
        empty = with_runs(empty, model.name, [])
    assert batch_alt(empty) == "No artefact was measured."
    figure = batch_chart(empty, Look(LIGHT))
    assert figure.axes[0].texts[0].get_text() == "no artefact was measured"


@pytest.mark.parametrize("narrow", [False, True])
def test_the_batch_chart_is_drawn_on_every_screen(results, narrow: bool):
    assert len(batch_chart(results, Look(LIGHT, narrow=narrow)).axes) == 1
